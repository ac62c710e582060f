"""Verdicts by score, regions and filters: more evidence never gives a better one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.conformal import Calibration, Threshold
from flawmap.inspection.decision import ImageInfo, PostProcessor, decide
from flawmap.inspection.defects import Filters
from flawmap.inspection.record import Provenance
from flawmap.inspection.tiled import RawPrediction

VERDICTS = ("good", "review", "reject")
REVIEW, REJECT, PIXEL = 0.4, 0.6, 0.5
SCORES = {0.3: "good", 0.4: "good", 0.5: "review", 0.6: "review", 0.7: "reject"}
NO_FILTERS = [Filters(), Filters(merge_distance=5.0, pixel_pitch=0.1)]
FILTERS = [Filters(min_area=9.0), Filters(min_peak=0.6), Filters(min_area=2.0, merge_distance=4)]


def threshold(value: float) -> Threshold:
    return Threshold(value=value, asked=0.01, rate=0.01)


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        scores=(0.1,), peaks=(0.1,), reject=threshold(REJECT), review=threshold(REVIEW),
        pixel=threshold(PIXEL),
    )  # fmt: skip


@pytest.mark.parametrize("filters", NO_FILTERS)
@pytest.mark.parametrize(("score", "verdict"), SCORES.items())
@pytest.mark.parametrize("defects", [0, 1, 5])
def test_without_filters_the_score_alone_decides(calibration, filters, score, verdict, defects):
    assert decide(calibration, filters, score, defects) == verdict


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize(("score", "verdict"), SCORES.items())
def test_filters_ask_for_a_defect(calibration, filters, score, verdict):
    assert decide(calibration, filters, score, 1) == verdict
    assert decide(calibration, filters, score, 0) == "good"


def map_with(*regions: tuple[int, float]) -> np.ndarray:
    """A map with square regions of these sides and values."""
    found = np.zeros((40, 40), np.float32)
    for index, (side, value) in enumerate(regions):
        found[index * 12 : index * 12 + side, :side] = value
    return found


# each map shows all that the one before it does, and more
MAPS = [map_with(), map_with((1, 0.55)), map_with((1, 0.55), (4, 0.9))]


def rank(post_process: PostProcessor, found: np.ndarray, score: float) -> int:
    """How bad the verdict is."""
    provenance = Provenance("run", "model", "float32", "onnxruntime", "cpu")
    result = post_process(RawPrediction(found, score), ImageInfo((40, 40)), provenance)
    return VERDICTS.index(result.verdict)


@pytest.mark.parametrize("filters", [*NO_FILTERS, *FILTERS])
def test_a_verdict_never_falls_with_score_or_evidence(calibrated_run, calibration, filters):
    """Through the post-processing that predict, evaluate, judge and watch share."""
    manifest = read_manifest(calibrated_run).model_copy(
        update={"calibration": calibration, "filters": filters}
    )
    filtered = PostProcessor(manifest, None)
    plain = PostProcessor(manifest.model_copy(update={"filters": Filters()}), None)
    grid = [[rank(filtered, found, score) for found in MAPS] for score in SCORES]
    for row in grid:
        assert row == sorted(row), "more evidence, better verdict"
    for column in zip(*grid, strict=True):
        assert list(column) == sorted(column), "higher score, better verdict"
    for (score, row), (index, found) in itertools.product(
        zip(SCORES, grid, strict=True), enumerate(MAPS)
    ):
        without = rank(plain, found, score)
        assert row[index] <= without, "filters must not reject what the thresholds let pass"
