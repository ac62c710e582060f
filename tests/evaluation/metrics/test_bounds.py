import numpy as np
import pytest

from flawmap.evaluation.metrics import Evaluator

from .reference import evaluate, nasty_sets, random_set

METRICS = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pro", "iap", "iap90")
SETS = nasty_sets()
ROUNDING = 1e-12


def coarse_errors(images, max_keys):
    exact = evaluate(Evaluator, images).compute()
    coarse = evaluate(Evaluator, images, max_keys=max_keys).compute()
    assert exact.pixel_error_bound == dict.fromkeys(METRICS, 0.0)
    errors = {name: abs(exact[name] - coarse[name]) for name in METRICS}
    return errors, coarse


@pytest.mark.parametrize("max_keys", [2, 8, 50, 300, 1500])
@pytest.mark.parametrize("name", SETS)
def test_coarsened_metrics_stay_within_their_bounds(name, max_keys):
    errors, coarse = coarse_errors(SETS[name], max_keys)
    for metric in METRICS:
        assert errors[metric] <= coarse.pixel_error_bound[metric] + ROUNDING, metric


def test_bounds_shrink_with_room_and_are_not_idle():
    images = random_set(np.random.default_rng(3), (64, 64), count=20)
    wide, narrow = coarse_errors(images, 300)[1], coarse_errors(images, 30_000)[1]
    for metric in METRICS:
        assert narrow.pixel_error_bound[metric] <= wide.pixel_error_bound[metric] / 4
    assert narrow.pixel_error_bound["pixel_auroc"] < 1e-4
    assert narrow.pixel_error_bound["pixel_ap"] < 2e-3
    assert "bits" in narrow.notes["pixel_error_bound"]


def test_image_metrics_stay_exact():
    exact, coarse = (
        evaluate(Evaluator, SETS["random"], **o).compute() for o in ({}, {"max_keys": 2})
    )
    assert exact["image_auroc"] == coarse["image_auroc"]
    assert exact["image_ap"] == coarse["image_ap"]


@pytest.mark.parametrize("metric", METRICS)
def test_some_set_comes_close_to_the_bound(metric):
    """A bound that is far too wide would pass every other test here."""
    closest = 0.0
    for images in SETS.values():
        errors, coarse = coarse_errors(images, 50)
        closest = max(closest, errors[metric] / max(coarse.pixel_error_bound[metric], 1e-9))
    assert closest > 0.05
