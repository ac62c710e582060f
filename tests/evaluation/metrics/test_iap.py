import numpy as np
import pytest

from flawmap.errors import UsageError
from flawmap.evaluation.metrics import Evaluator, instance_average_precision
from flawmap.evaluation.metrics.iap import interpolated

from .reference import evaluate, iap, nasty_sets

SETS = nasty_sets()


@pytest.mark.parametrize("name", SETS)
def test_iap_is_the_plain_definitions(name):
    figures = evaluate(Evaluator, SETS[name]).compute()
    assert (figures.iap, figures.iap90) == pytest.approx(iap(SETS[name], 0.9), abs=1e-12)


@pytest.mark.parametrize("k", [0.0, 0.1, 0.5, 0.75, 0.9, 1.0])
def test_any_recall_can_be_asked_for_afterwards(k):
    images = SETS["many instances, even and odd sizes"]
    precisions = evaluate(Evaluator, images).compute().instance_precision
    assert instance_average_precision(precisions, k) == pytest.approx(iap(images, k), abs=1e-12)


def test_precision_never_falls_as_recall_falls():
    assert interpolated([0.2, 0.5, 0.3, 0.6]).tolist() == [0.2, 0.5, 0.5, 0.6]


@pytest.mark.parametrize("n", [10, 20, 30, 70, 110, 1000])
def test_recall_of_just_k_counts_in_spite_of_rounding(n):
    assert instance_average_precision(np.arange(n), 0.9)[1] == n // 10


@pytest.mark.parametrize(("precisions", "k"), [([], 0.9), ([[0.5]], 0.9), ([0.5], 1.1)])
def test_nonsense_is_refused(precisions, k):
    with pytest.raises(UsageError, match="needs a"):
        instance_average_precision(precisions, k)
