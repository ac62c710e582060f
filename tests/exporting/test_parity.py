"""Comparisons by hand, of two graphs that are not there."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap import FlawmapError
from flawmap.data.resize import Framing
from flawmap.exporting.parity import compare
from flawmap.exporting.synthetic import Corrupted, no_anomalies
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.scoring import Scoring
from flawmap.inspection.tiled import TiledInference
from flawmap.runtime.base import Backend

INFERENCE = TiledInference(Framing((2, 2)), Scoring())
LIKE = Calibration.from_scores([1.0] * 20, [1.0] * 20)


class Fixed(Backend):
    """Maps (2x2, all the same or given) and scores known beforehand, image by image."""

    name = "fixed"
    size = (2, 2)

    def __init__(self, maps, scores):
        self._answers = iter(zip(maps, scores, strict=True))

    def __call__(self, images):
        found, score = next(self._answers)
        return (
            np.broadcast_to(np.float32(found), (1, 2, 2)).copy(),
            np.array([score], np.float32),
        )


def laid(good):
    return [INFERENCE.framing.preprocess(image) for image in good]


def test_differences_by_hand():
    good = np.zeros((3, 2, 2, 3), np.uint8)
    found = compare(
        Fixed([0.0, 0.5, 0.25], [0.1, 0.5, 0.9]),
        Fixed([0.25, 0.5, 0.0], [0.1, 0.75, 0.4]),
        laid(good), no_anomalies(good), LIKE, INFERENCE,
    )  # fmt: skip
    assert (found.images, found.map_max) == (3, 0.25)
    assert found.map_mean == pytest.approx(0.5 / 3)
    assert found.score_max == pytest.approx(0.5)
    assert found.score_mean == pytest.approx(0.75 / 3)
    assert sorted(found.calibration.scores) == pytest.approx([0.1, 0.4, 0.75])
    assert sorted(found.calibration.peaks) == [0.0, 0.25, 0.5]
    assert found.calibration.reject.asked == LIKE.reject.asked
    assert found.p_value_mean == pytest.approx((0 + 1 / 3 + 1 / 3) / 3), "the last two changed"
    assert (found.pixel_ap, found.image_auroc) == (None, None)


def test_verdicts_differ_by_each_ones_own_thresholds():
    """Twice all scores, and twice the thresholds, changes none; one score past its own does."""
    good = np.zeros((4, 2, 2, 3), np.uint8)
    bad = Corrupted(np.zeros((2, 2, 2, 3), np.uint8), np.ones((2, 2, 2), np.uint8))
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.3]
    twice = [2 * score for score in scores]
    maps = [0.0] * 6
    same = compare(Fixed(maps, scores), Fixed(maps, twice), laid(good), bad, LIKE, INFERENCE)
    assert (same.flips, same.p_value_mean) == (0, 0.0)
    less = compare(
        Fixed(maps, scores), Fixed(maps, [*twice[:4], 0.7, 0.6]), laid(good), bad, LIKE, INFERENCE
    )
    assert less.flips == 1


def test_verdicts_at_the_thresholds_that_the_run_has():
    """As they were stored: rounding flips none. A drawn defect lies between, by the other alone."""
    good = np.zeros((4, 2, 2, 3), np.uint8)
    bad = Corrupted(np.zeros((1, 2, 2, 3), np.uint8), np.ones((1, 2, 2), np.uint8))
    stored, names = [0.1, 0.2, 0.3, 0.4], list("abcd")
    like = Calibration.from_scores(stored, stored, false_reject=0.2, review=0.4, images=names)
    maps = [0.0] * 5
    here = [0.1, 0.2, 0.3 + 1e-6, 0.4 + 1e-6]
    higher = [score + 0.2 for score in stored]

    def flips(other, drawn):
        found = compare(
            Fixed(maps, [*here, drawn[0]]), Fixed(maps, [*other, drawn[1]]), laid(good), bad,
            like, INFERENCE, images=names, stored=stored,
        )  # fmt: skip
        assert found.calibration.scores == pytest.approx(other)
        assert found.calibration.images == tuple(names)
        assert found.calibration.reject.asked == 0.2
        return found.flips

    assert flips(here, (0.45, 0.45)) == 0
    assert flips(higher, (0.45, 0.65)) == 0, "its own thresholds are higher, too"
    assert flips(here, (0.45, 0.38)) == 1
    assert flips(higher, (0.45, 0.45)) == 1


def test_figures_of_both_graphs():
    good = np.zeros((2, 2, 2, 3), np.uint8)
    mask = np.array([[[1, 0], [0, 0]]], np.uint8)
    bad = Corrupted(np.zeros((1, 2, 2, 3), np.uint8), mask)
    oracle = Fixed([0.0, 0.0, mask[0]], [0.0, 0.0, 1.0])
    fool = Fixed([0.0, 0.0, 1 - mask[0]], [1.0, 0.0, 0.5])
    found = compare(oracle, fool, laid(good), bad, LIKE, INFERENCE)
    assert found.pixel_ap == (1.0, pytest.approx(1 / 12))
    assert found.image_auroc == (1.0, 0.5)


def test_a_map_that_is_no_number_is_refused():
    good = np.zeros((2, 2, 2, 3), np.uint8)
    scores = [0.0, 0.0]
    with np.errstate(invalid="ignore"), pytest.raises(FlawmapError, match="NaN or infinite"):
        compare(
            Fixed([0.0, 0.0], scores),
            Fixed([np.nan, 0.0], scores),
            laid(good),
            no_anomalies(good),
            LIKE,
            INFERENCE,
        )
