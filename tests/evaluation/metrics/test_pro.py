import numpy as np
import pytest

from flawmap.evaluation.metrics import Evaluator

from .reference import evaluate, nasty_sets, pro

SETS = nasty_sets()


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("name", SETS)
def test_pro_is_the_mean_area_of_one_roc_a_region(name, limit):
    figures = evaluate(Evaluator, SETS[name], pro_limit=limit).compute()
    assert figures.pro == pytest.approx(pro(SETS[name], limit), abs=1e-12)


def test_a_small_region_weighs_as_much_as_a_large_one():
    mask = np.array([[1, 0, 0, 1, 1, 1, 1, 1, 1]], np.uint8)
    found = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    missed_large = evaluate(Evaluator, [(found, mask, 1.0, True)], pro_limit=1e-9).compute()
    assert missed_large.pro == pytest.approx(0.5, abs=1e-6)
