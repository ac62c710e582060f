import numpy as np
import pytest

from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.curves import thin

from .reference import evaluate, nasty_sets, random_set

SETS = nasty_sets()


@pytest.mark.parametrize("name", SETS)
def test_curves_carry_their_figures(name):
    f = evaluate(Evaluator, SETS[name]).compute()
    for level in ("image", "pixel"):
        auroc, best = getattr(f, f"{level}_auroc"), getattr(f, f"{level}_f1max")
        roc = f.curves.get(f"{level}_roc")
        if roc is None:
            assert auroc is None
            continue
        assert len(roc) <= 500
        x, y = roc.T
        assert np.diff(x) @ (y[1:] + y[:-1]) / 2 == pytest.approx(auroc, abs=3e-3)
        recall, precision = f.curves[f"{level}_pr"].T
        assert len(recall) <= 500
        assert np.max(2 * precision * recall / (precision + recall)) == pytest.approx(
            best, abs=0.01
        )


def test_roc_runs_from_corner_to_corner_and_never_turns_back():
    roc = evaluate(Evaluator, random_set(np.random.default_rng(1), (64, 64))).compute().curves
    points = roc["pixel_roc"]
    assert 100 < len(points) <= 500
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()


def test_thinning_keeps_ends_and_leaves_no_gap():
    x = np.linspace(0, 1, 100_000)
    points = np.stack([x**8, x], axis=1)
    thinned = thin(points, 100)
    assert len(thinned) <= 100
    assert np.array_equal(thinned[[0, -1]], points[[0, -1]])
    assert np.abs(np.diff(thinned, axis=0)).sum(axis=1).max() < 0.03


def test_short_curves_are_left_whole():
    points = np.random.default_rng(0).random((500, 2))
    assert thin(points) is points
