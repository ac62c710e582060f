import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.counts import KeyCounts, steps
from flawmap.evaluation.metrics.ranking import auroc, average_precision, f1_max, thin

from .reference import evaluate, nasty_sets, random_set
from .reference import f1_max as reference_f1_max

TIED = st.lists(st.integers(-4, 4), min_size=1, max_size=30)
FINE = st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=30)


@given(st.one_of(st.tuples(TIED, TIED), st.tuples(FINE, FINE)))
def test_metrics_are_scikit_learns(pair):
    positive, negative = (np.array(p, float) for p in pair)
    s = steps(KeyCounts.of_keys(positive), KeyCounts.of_keys(negative))
    scores = np.r_[positive, negative]
    labels = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
    assert auroc(s) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(s) == pytest.approx(average_precision_score(labels, scores))
    assert f1_max(s) == pytest.approx(reference_f1_max(labels, scores))


SETS = nasty_sets()


@pytest.mark.parametrize("name", SETS)
def test_curves_carry_their_metrics(name):
    metrics = evaluate(Evaluator, SETS[name]).compute()
    for level in ("image", "pixel"):
        auroc, best = metrics[f"{level}_auroc"], metrics[f"{level}_f1max"]
        roc = metrics.curves.get(f"{level}_roc")
        if roc is None:
            assert auroc is None
            continue
        assert len(roc) <= 500
        x, y = roc.T
        assert np.diff(x) @ (y[1:] + y[:-1]) / 2 == pytest.approx(auroc, abs=3e-3)
        recall, precision = metrics.curves[f"{level}_pr"].T
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
