"""``--rotate auto``: decide whether rotated parts resemble good ones to the teacher.

Each good image is described by the teacher's two coarsest levels, averaged over the whole image
(its content) and over a coarse grid of cells (where that lies). The distance of a good image to its
nearest *other* good image measures how much good parts differ; a rotated image that is as near to
the others could occur on the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.backbones.features import Features
from flawmap.methods.config import nearest_size
from flawmap.synthesis.perlin import rotate_each
from flawmap.training.steps.batches import SLIGHT_DEGREES
from flawmap.types import Rotation, RotationChoice

_GRIDS = (1, 4)  # cells a side
_PIXELS = 128  # images are compared at about this size
# Largest distance of a rotated part to good parts, relative to theirs to each other. For quarter
# turns, screws at every angle measure 1.8-4.1, a striped surface 11-23, an upright brush 60 and
# more; for 5 degrees, the first two 1.2-1.9, the brush 3.6-7.6 (both teachers, 24-64 images).
_QUARTER_LIMIT = 6.0
_SLIGHT_LIMIT = 2.5


@dataclass(frozen=True)
class RotationDecision:
    """The rotation chosen, the reason, and whether parts lie at any angle."""

    rotation: Rotation
    reason: str
    any_angle: bool = False


def decide_rotation(
    choice: RotationChoice,
    images: np.ndarray,
    features: Callable[[Tensor], Features],
    size_multiple: int = 1,
) -> RotationDecision:
    """Resolve ``--rotate`` from good images (N, H, W, 3) uint8; about 64 are enough.

    ``features`` returns the teacher's levels for images in 0..1, whose sides are multiples of
    ``size_multiple`` pixels. Images that are not square never get quarter turns, which would
    rotate parts of them out of the frame; whether parts lie at any angle is decided on their
    central squares.
    """
    if choice != "auto":
        return RotationDecision(choice, "as asked for", choice == "full")
    if len(images) < 3:
        return RotationDecision("none", "too few good images to decide")
    side, _ = nearest_size((_PIXELS, _PIXELS), size_multiple)
    return _decide(images, features, side)


def paper_note(
    decision: RotationDecision, category: str, published: Mapping[str, str]
) -> str | None:
    """Return a note if the paper rotates the images of this category in another way."""
    theirs = published.get(category.lower())
    if theirs is None or theirs == decision.rotation:
        return None
    return (
        f"The paper uses rotation {theirs} for {category}, not {decision.rotation}: "
        f"to reproduce it, give --rotate {theirs}."
    )


def _decide(
    images: np.ndarray, features: Callable[[Tensor], Features], side: int
) -> RotationDecision:
    square = images.shape[1] == images.shape[2]
    middle = _shrink(_middle(images), side)
    base = _describe(features(middle))
    quarter = max(
        _ratio(base, _describe(features(torch.rot90(middle, turns, (2, 3))))) for turns in (1, 2, 3)
    )
    any_angle = quarter <= _QUARTER_LIMIT
    if any_angle and square:
        reason = _reason("by quarter turns", quarter, _QUARTER_LIMIT)
        return RotationDecision("full", reason, any_angle)
    x = middle if square else _shrink(images, side)
    base = base if square else _describe(features(x))
    angles = (-SLIGHT_DEGREES, SLIGHT_DEGREES)
    tilted = [rotate_each(x, torch.full((len(x),), angle), padding="border") for angle in angles]
    slight = max(_ratio(base, _describe(features(rotated))) for rotated in tilted)
    reason = _reason(f"by ±{SLIGHT_DEGREES:g}°", slight, _SLIGHT_LIMIT)
    if any_angle:
        reason += "; by quarter turns it does, but images that are not square would lose parts"
    return RotationDecision("slight" if slight <= _SLIGHT_LIMIT else "none", reason, any_angle)


def _middle(images: np.ndarray) -> np.ndarray:
    """Crop the largest central squares of the images."""
    side = min(images.shape[1:3])
    top, left = ((whole - side) // 2 for whole in images.shape[1:3])
    square: np.ndarray = images[:, top : top + side, left : left + side]
    return square


def _reason(how: str, ratio: float, limit: float) -> str:
    verdict = "still resembles" if ratio <= limit else "no longer resembles"
    return (
        f"a part rotated {how} {verdict} good parts: its features are {ratio:.1f} times as far "
        f"from theirs as theirs from each other (limit {limit:g})"
    )


def _shrink(images: np.ndarray, side: int) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255.0
    return F.interpolate(x, size=(side, side), mode="bilinear", antialias=True)


def _describe(levels: Features) -> list[Tensor]:
    """Compute unit vectors (N, C·cells) of the two coarsest levels (or the one), for each grid."""
    return [
        F.normalize(F.adaptive_avg_pool2d(level, grid).flatten(1), dim=1)
        for level in levels[-2:]
        for grid in _GRIDS
    ]


def _ratio(base: list[Tensor], rotated: list[Tensor]) -> float:
    """Return the median distance to the nearest other image, rotated relative to upright."""
    ratios = [
        (_nearest_other(r, b).median() / _nearest_other(b, b).median().clamp(min=1e-9)).item()
        for b, r in zip(base, rotated, strict=True)
    ]
    return max(ratios)


def _nearest_other(queries: Tensor, others: Tensor) -> Tensor:
    distance = 1.0 - queries @ others.T
    distance.fill_diagonal_(float("inf"))
    return distance.min(1).values
