"""How far another form of the graph is from the first, and what it does to figures and verdicts."""

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
    """Two graphs on the same images. Pairs are the first one's value and the other's."""

    images: int
    map_max: float
    map_mean: float
    score_max: float
    score_mean: float
    flips: int
    """Images whose verdict differs, by the thresholds of each; before filters of regions."""
    p_value_mean: float
    """How far the good images' p-values move on average: the share of good parts whose verdict
    differs at a threshold, whichever it is. Tells more than flips at the few thresholds set."""
    pixel_ap: tuple[float, float] | None
    image_auroc: tuple[float, float] | None
    """Both on good images against drawn defects; None where there are none."""
    calibration: Calibration
    """The other one's thresholds."""


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
    """Run both on every image, one by one; FlawmapError for a map that has NaNs.

    ``good``: good images as the inspector sees them; defects are drawn on windows. The other one's
    thresholds are set on the good images, for the false-reject rates of ``like``; ``images`` are
    the SHA-256 of their files. Where they are the images that calibrate ``like``, and ``stored``
    their scores there, the first one has the thresholds of ``like``, and these scores: those
    computed here may differ in rounding, and a score at which a threshold was set would be counted
    as a flip. Else the first one's thresholds are set like the other's. ``region``: where the
    inspector looks; a window of a larger image does not know where it lies in it.
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
    figures = [one.evaluator.compute() for one in seen] if len(drawn.images) else []
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
        pixel_ap=_pair([one.pixel_ap for one in figures]),
        image_auroc=_pair([one.image_auroc for one in figures]),
        calibration=own,
    )


def _apart(
    seen: tuple[_Seen, _Seen],
    graphs: tuple[Backend, Backend],
    canvas: Canvas,
    mask: NDArray[np.uint8] | None,
    region: Region | None,
) -> tuple[float, float]:
    """Largest and mean difference of the two maps."""
    first, other = (
        one.look(graph, canvas, mask, region) for one, graph in zip(seen, graphs, strict=True)
    )
    gap = np.abs(first - other)
    return float(gap.max()), float(gap.mean())


@dataclass
class _Seen:
    """What one graph said so far."""

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
    """Mean |difference| of the ranks of the same images by two scores, as a share of all."""
    ranks = [stats.rankdata(scores) for scores in (before, after)]
    return float(np.abs(ranks[0] - ranks[1]).mean() / len(before))


def _pair(values: list[float | None]) -> tuple[float, float] | None:
    return (values[0] or 0.0, values[1] or 0.0) if values else None
