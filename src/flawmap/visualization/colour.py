"""Heat maps, overlays and outlines: anomaly maps as images.

Used by the report and by `flawmap predict`, so that both show a map in the same colours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]

# Nine anchors of matplotlib's "inferno" (CC0): lightness rises monotonically, so that
# hotter also appears hotter in greyscale print and to colour-blind users.
ANCHORS: tuple[Colour, ...] = (
    (0, 0, 4),
    (31, 12, 72),
    (85, 15, 109),
    (136, 34, 106),
    (188, 55, 84),
    (227, 89, 51),
    (249, 140, 10),
    (249, 201, 50),
    (252, 255, 164),
)
TRUTH: Colour = (64, 240, 130)  # outline of the ground truth
PREDICTED: Colour = (255, 70, 235)  # outline of what the inspector marked


def _table() -> NDArray[np.uint8]:
    anchors = np.asarray(ANCHORS, dtype=np.float64)
    at, positions = np.linspace(0, 1, 256), np.linspace(0, 1, len(anchors))
    channels = [np.interp(at, positions, anchors[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


_TABLE = _table()  # (256, 3)


def scale_top(threshold: float, low: float = 0.0) -> float:
    """Return the map value drawn hottest, such that `threshold` is in the middle of the scale."""
    return low + 2.0 * (threshold - low)


def heatmap(anomaly_map: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Convert an anomaly map (H, W) to heat colours, uint8 (H, W, 3).

    `low` and below is black, `high` and above pale yellow, linear between. A value that is not
    finite is drawn as `low` (NaN, -inf) or `high` (+inf). Where `high <= low` there is no scale:
    values above `low` are hottest, the others black.
    """
    colours: NDArray[np.uint8] = _TABLE[np.rint(_unit(anomaly_map, low, high) * 255).astype(int)]
    return colours


def overlay(
    image: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
    threshold: float,
    *,
    low: float = 0.0,
    high: float | None = None,
    opacity: float = 0.7,
) -> NDArray[np.uint8]:
    """Overlay heat colours on the image (H, W, 3) where the anomaly map (H, W) is high.

    `high` defaults to `scale_top(threshold, low)`: the pixel threshold is then mid-scale
    (crimson), and orange to yellow means above it. Opacity rises with the square of the map's
    position between `low` and the threshold, so that a quiet background shows the image unchanged;
    from the threshold on it is the full `opacity` (0..1). Returns uint8 (H, W, 3).
    """
    _require_same_size(image, anomaly_map)
    heat = heatmap(anomaly_map, low, scale_top(threshold, low) if high is None else high)
    alpha = opacity * _unit(anomaly_map, low, threshold)[..., None] ** 2  # (H, W, 1)
    mixed: NDArray[np.uint8] = np.rint(image * (1 - alpha) + heat * alpha).astype(np.uint8)
    return mixed


def heat_levels(anomaly_map: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Quantise an anomaly map (H, W) on `overlay`'s scale: 255 steps, 0 cold, 128 threshold."""
    return np.rint(_unit(anomaly_map, 0.0, scale_top(threshold)) * 255).astype(np.uint8)


def lay_heat(image: NDArray[np.uint8], levels: NDArray[np.uint8], *, opacity: float = 0.7) -> None:
    """Apply `overlay` in place and several times as fast, for images of many megapixels.

    `levels` (H, W) come from `heat_levels`; colours differ from `overlay`'s only by rounding.
    """
    _require_same_size(image, levels)
    alpha = opacity * np.clip(np.arange(256) / 127.5, 0, 1) ** 2
    heat = Image.fromarray(_TABLE[levels])
    cover = Image.fromarray(np.rint(255 * alpha).astype(np.uint8)[levels])
    image[:] = np.asarray(Image.composite(heat, Image.fromarray(image), cover))


def outline(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    colour: Colour,
    *,
    width: int = 2,
    rim: bool = True,
) -> NDArray[np.uint8]:
    """Return a copy of the image (H, W, 3) with the mask's regions outlined in `colour`.

    The line is just outside the mask's (H, W) regions, `width` pixels wide, so that it does not
    cover a thin defect; a dark `rim` of one pixel beyond keeps it visible on a bright part. An
    empty mask leaves the image unchanged.
    """
    _require_same_size(image, mask)
    region = np.asarray(mask) > 0
    drawn: NDArray[np.uint8] = image.copy()
    if region.any():
        if rim:
            drawn[_ring(region, width + 1)] //= 3
        drawn[_ring(region, width)] = colour
    return drawn


def _unit(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Scale values to 0..1, float32; never NaN."""
    values = np.nan_to_num(np.asarray(values, dtype=np.float32), nan=low, posinf=None, neginf=None)
    if high <= low:
        return np.asarray(values > low, dtype=np.float32)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), dtype=np.float32)


def _ring(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    grown = _grown(_grown(region, width).T, width).T  # a square is much faster in two passes
    return grown & ~region


def _grown(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Grow the region by `width` rows above and below each pixel."""
    grown = region.copy()
    for step in range(1, min(width, len(region) - 1) + 1):
        grown[step:] |= region[:-step]
        grown[:-step] |= region[step:]
    return grown


def _require_same_size(image: NDArray[np.uint8], plane: NDArray[np.float32 | np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"the image must be (H, W, 3), not {image.shape}")
    if image.shape[:2] != plane.shape:
        raise ValueError(
            f"image {image.shape[:2]} and map or mask {plane.shape} differ in size; "
            "resize the map to the image first"
        )
