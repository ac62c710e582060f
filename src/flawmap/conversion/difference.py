"""How far another form of the graph is from the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawmap.backends.base import Backend
from flawmap.calibration import Calibration


@dataclass(frozen=True)
class Difference:
    """Over images: the largest and the mean |difference| of map and score; changed verdicts."""

    images: int
    map_max: float
    map_mean: float
    score_max: float
    score_mean: float
    flips: int


def measure_difference(
    reference: Backend,
    other: Backend,
    images: NDArray[np.uint8],
    calibrations: tuple[Calibration, Calibration],
) -> Difference:
    """Both on every image (N, h, w, 3) of the working size, one by one, by their calibrations."""
    map_max, map_sum = 0.0, 0.0
    scores: list[tuple[float, float]] = []
    for image in images:
        expected, expected_score = reference(image[None])
        found, score = other(image[None])
        apart = np.abs(found - expected)
        map_max = float(np.maximum(map_max, apart.max()))  # keeps a NaN, Python's max() loses it
        map_sum += float(apart.mean())
        scores.append((float(expected_score[0]), float(score[0])))
    gaps = np.abs(np.diff(np.array(scores), axis=1))
    return Difference(
        images=len(images),
        map_max=map_max,
        map_mean=map_sum / len(images),
        score_max=float(gaps.max()),
        score_mean=float(gaps.mean()),
        flips=sum(calibrations[0].verdict(a) != calibrations[1].verdict(b) for a, b in scores),
    )
