import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from flawmap.errors import UsageError
from flawmap.evaluation.metrics import Evaluator, instance_average_precision
from flawmap.evaluation.metrics.instances import interpolated, regions

from .reference import evaluate, flood_regions, iap, nasty_sets, pro

SETS = nasty_sets()
MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(MASKS)
def test_regions_are_those_of_a_flood_fill(mask):
    keys = np.random.default_rng(mask.size).integers(0, 5, mask.shape).astype(np.uint32)
    found = regions(keys, mask)
    flooded = flood_regions(mask)
    halves = [sorted((int(keys[p]) for p in r), reverse=True)[len(r) // 2] for r in flooded]
    assert sorted(found.thresholds.tolist()) == sorted(halves)
    expected = sorted((int(keys[p]), 1 / len(r)) for r in flooded for p in r)
    weighed = sorted(zip(found.defect.tolist(), found.weights.tolist(), strict=True))
    assert np.allclose(np.reshape(weighed, (-1, 2)), np.reshape(expected, (-1, 2)))


@pytest.mark.parametrize(("size", "found_at"), [(1, 9), (2, 8), (3, 8), (4, 7), (5, 7)])
def test_more_than_half_of_a_region_reaches_its_threshold(size, found_at):
    keys = np.arange(10 - size, 10, dtype=np.uint32)[None]
    assert regions(keys, np.ones((1, size), bool)).thresholds.tolist() == [found_at]


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("name", SETS)
def test_pro_is_the_mean_area_of_one_roc_a_region(name, limit):
    metrics = evaluate(Evaluator, SETS[name], pro_limit=limit).compute()
    assert metrics["pro"] == pytest.approx(pro(SETS[name], limit), abs=1e-12)


def test_a_small_region_weighs_as_much_as_a_large_one():
    mask = np.array([[1, 0, 0, 1, 1, 1, 1, 1, 1]], np.uint8)
    found = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    missed_large = evaluate(Evaluator, [(found, mask, 1.0, True)], pro_limit=1e-9).compute()
    assert missed_large["pro"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_iap_is_the_plain_definitions(name):
    metrics = evaluate(Evaluator, SETS[name]).compute()
    assert (metrics["iap"], metrics["iap90"]) == pytest.approx(iap(SETS[name], 0.9), abs=1e-12)


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
