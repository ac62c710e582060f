"""Measure how an exported model differs from the original: maps, scores, metrics, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flawmap.data.resize import Framing, PaddedImage
from flawmap.evaluation.metrics import Evaluator
from flawmap.exporting.synthetic import Corrupted
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.roi.mask import Region
from flawmap.inspection.tiled import TiledInference
from flawmap.runtime.base import Backend


@dataclass(frozen=True)
class Comparison:
    """Comparison of two models on the same images; pairs are (first, other)."""

    images: int
    map_max: float
    map_mean: float
    score_max: float
    score_mean: float
    flips: int
    """Images whose verdict differs, each model with its own thresholds; before region filters."""
    p_value_mean: float
    """Mean change of the good images' p-values: the share of good parts whose verdict differs, for
    a threshold at any score. More informative than flips at the few thresholds set."""
    pixel_ap: tuple[float, float] | None
    image_auroc: tuple[float, float] | None
    """Like pixel_ap: good images against synthetic anomalies; None if there are none."""
    calibration: Calibration
    """The other model's thresholds."""


def compare(
    first: Backend,
    other: Backend,
    good: Iterable[PaddedImage],
    drawn: Corrupted,
    like: Calibration,
    inference: TiledInference,
    region: Region | None = None,
    *,
    images: Sequence[str] = (),
    stored: Sequence[float] | None = None,
) -> Comparison:
    """Run both models on every image, one by one; FlawmapError if a map contains NaNs.

    ``good``: good images, preprocessed as by the inspector; ``drawn``: tiles with synthetic
    anomalies. The other model's thresholds are set on the good images, for the false-reject rates
    of ``like``; ``images`` are the SHA-256 of their files. If these images calibrate ``like`` and
    ``stored`` are their scores there, the first model uses the thresholds of ``like`` and these
    scores: those computed here may differ in rounding, and a score that set a threshold would count
    as a flip. Otherwise the first model's thresholds are set like the other's. ``region``: the
    region of interest; not applied to tiles of a larger image, whose position is unknown.
    """
    results = (_Results(inference), _Results(inference))
    graphs = (first, other)
    differences: list[tuple[float, float]] = []
    for image in good:
        differences.append(_map_differences(results, graphs, image, None, region))
    calibrating = len(differences)
    whole = Framing(inference.framing.size)
    for pixels, mask in zip(drawn.images, drawn.masks, strict=True):
        where = region if inference.framing.fit == "squash" else None
        differences.append(_map_differences(results, graphs, whole.preprocess(pixels), mask, where))
    gaps = np.abs(np.array(results[0].scores) - np.array(results[1].scores))
    largest, means = np.array(differences).T
    left_out = () if stored is None else like.left_out
    own = results[1].calibrated(calibrating, like, images, left_out)
    judge = results[0].calibrated(calibrating, like, images) if stored is None else like
    before = [*(stored or results[0].scores[:calibrating]), *results[0].scores[calibrating:]]
    metrics = [one.evaluator.compute() for one in results] if len(drawn.images) else []
    return Comparison(
        images=len(differences),
        map_max=float(largest.max()),
        map_mean=float(means.mean()),
        score_max=float(gaps.max()),
        score_mean=float(gaps.mean()),
        flips=sum(
            judge.verdict(a) != own.verdict(b)
            for a, b in zip(before, results[1].scores, strict=True)
        ),
        p_value_mean=_mean_rank_change(*(np.array(one.scores[:calibrating]) for one in results)),
        pixel_ap=_pair([one["pixel_ap"] for one in metrics]),
        image_auroc=_pair([one["image_auroc"] for one in metrics]),
        calibration=own,
    )


def _map_differences(
    results: tuple[_Results, _Results],
    graphs: tuple[Backend, Backend],
    image: PaddedImage,
    mask: NDArray[np.uint8] | None,
    region: Region | None,
) -> tuple[float, float]:
    """Return the largest and mean absolute difference of the two maps."""
    first, other = (
        one.add(graph, image, mask, region) for one, graph in zip(results, graphs, strict=True)
    )
    gap = np.abs(first - other)
    return float(gap.max()), float(gap.mean())


@dataclass
class _Results:
    """Scores, map maxima and metrics of one model so far."""

    inference: TiledInference
    scores: list[float] = field(default_factory=list)
    max_map_values: list[float] = field(default_factory=list)
    evaluator: Evaluator = field(default_factory=Evaluator)

    def add(
        self,
        graph: Backend,
        image: PaddedImage,
        mask: NDArray[np.uint8] | None,
        region: Region | None,
    ) -> NDArray[np.float32]:
        ((anomaly_map, score),) = self.inference(graph, [image])
        if region is not None:
            anomaly_map, score = region.read_out(anomaly_map)
        self.scores.append(score)
        self.max_map_values.append(float(anomaly_map.max()))
        self.evaluator.update(anomaly_map, mask, score, mask is not None)
        return anomaly_map

    def calibrated(
        self, good: int, like: Calibration, images: Sequence[str], left_out: Sequence[str] = ()
    ) -> Calibration:
        return Calibration.from_scores(
            self.scores[:good],
            self.max_map_values[:good],
            false_reject=like.reject.asked,
            review=like.review.asked,
            images=images,
            left_out=left_out,
            reused=like.reused,
        )


def _mean_rank_change(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the mean |difference| between images' ranks by two scores, as a share of all."""
    ranks = [stats.rankdata(scores) for scores in (before, after)]
    return float(np.abs(ranks[0] - ranks[1]).mean() / len(before))


def _pair(values: list[float | None]) -> tuple[float, float] | None:
    return (values[0] or 0.0, values[1] or 0.0) if values else None
