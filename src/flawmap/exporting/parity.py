"""Measure how an exported model differs from the first in maps, scores, metrics and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flawmap.data.resize import Canvas, Framing
from flawmap.evaluation.metrics import Evaluator
from flawmap.exporting.synthetic import Corrupted
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.roi.mask import Region
from flawmap.inspection.tiled import Look
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
    """Mean change of the good images' p-values: the share of good parts whose verdict differs at
    a threshold, whichever it is. More informative than flips at the few thresholds set."""
    pixel_ap: tuple[float, float] | None
    image_auroc: tuple[float, float] | None
    """Both metrics: good images against synthetic anomalies; None if there are none."""
    calibration: Calibration
    """The other model's thresholds."""


def compare(
    first: Backend,
    other: Backend,
    good: Iterable[Canvas],
    drawn: Corrupted,
    like: Calibration,
    look: Look,
    region: Region | None = None,
    *,
    images: Sequence[str] = (),
    stored: Sequence[float] | None = None,
) -> Comparison:
    """Run both models on every image, one by one; FlawmapError if a map contains NaNs.

    ``good``: good images as the inspector sees them; ``drawn``: tiles with synthetic anomalies.
    The other model's thresholds are set on the good images, for the false-reject rates of ``like``;
    ``images`` are the SHA-256 of their files. If these images calibrate ``like`` and ``stored`` are
    their scores there, the first model uses the thresholds of ``like`` and these scores: those
    computed here may differ in rounding, and a score that set a threshold would count as a flip.
    Else the first model's thresholds are set like the other's. ``region``: where the inspector
    looks; not applied to tiles of a larger image, whose position is unknown.
    """
    seen = (_Seen(look), _Seen(look))
    graphs = (first, other)
    apart: list[tuple[float, float]] = []
    for canvas in good:
        apart.append(_apart(seen, graphs, canvas, None, region))
    calibrating = len(apart)
    whole = Framing(look.framing.size)
    for image, mask in zip(drawn.images, drawn.masks, strict=True):
        where = region if look.framing.fit == "squash" else None
        apart.append(_apart(seen, graphs, whole.lay(image), mask, where))
    gaps = np.abs(np.array(seen[0].scores) - np.array(seen[1].scores))
    largest, means = np.array(apart).T
    left_out = () if stored is None else like.left_out
    own = seen[1].calibrated(calibrating, like, images, left_out)
    judge = seen[0].calibrated(calibrating, like, images) if stored is None else like
    before = [*(stored or seen[0].scores[:calibrating]), *seen[0].scores[calibrating:]]
    metrics = [one.evaluator.compute() for one in seen] if len(drawn.images) else []
    return Comparison(
        images=len(apart),
        map_max=float(largest.max()),
        map_mean=float(means.mean()),
        score_max=float(gaps.max()),
        score_mean=float(gaps.mean()),
        flips=sum(
            judge.verdict(a) != own.verdict(b) for a, b in zip(before, seen[1].scores, strict=True)
        ),
        p_value_mean=_moved(*(np.array(one.scores[:calibrating]) for one in seen)),
        pixel_ap=_pair([one["pixel_ap"] for one in metrics]),
        image_auroc=_pair([one["image_auroc"] for one in metrics]),
        calibration=own,
    )


def _apart(
    seen: tuple[_Seen, _Seen],
    graphs: tuple[Backend, Backend],
    canvas: Canvas,
    mask: NDArray[np.uint8] | None,
    region: Region | None,
) -> tuple[float, float]:
    """Return the largest and mean absolute difference of the two maps."""
    first, other = (
        one.look(graph, canvas, mask, region) for one, graph in zip(seen, graphs, strict=True)
    )
    gap = np.abs(first - other)
    return float(gap.max()), float(gap.mean())


@dataclass
class _Seen:
    """Scores, peaks and metrics of one model so far."""

    looks: Look
    scores: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    evaluator: Evaluator = field(default_factory=Evaluator)

    def look(
        self,
        graph: Backend,
        canvas: Canvas,
        mask: NDArray[np.uint8] | None,
        region: Region | None,
    ) -> NDArray[np.float32]:
        ((found, score),) = self.looks(graph, [canvas])
        if region is not None:
            found, score = region.read_out(found)
        self.scores.append(score)
        self.peaks.append(float(found.max()))
        self.evaluator.update(found, mask, score, mask is not None)
        return found

    def calibrated(
        self, good: int, like: Calibration, images: Sequence[str], left_out: Sequence[str] = ()
    ) -> Calibration:
        return Calibration.from_scores(
            self.scores[:good],
            self.peaks[:good],
            false_reject=like.reject.asked,
            review=like.review.asked,
            images=images,
            left_out=left_out,
        )


def _moved(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Mean |difference| of the same images' ranks by two scores, as a share of all images."""
    ranks = [stats.rankdata(scores) for scores in (before, after)]
    return float(np.abs(ranks[0] - ranks[1]).mean() / len(before))


def _pair(values: list[float | None]) -> tuple[float, float] | None:
    return (values[0] or 0.0, values[1] or 0.0) if values else None
