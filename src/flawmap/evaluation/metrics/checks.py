"""Refuses input that would give a silently wrong figure; every message says the mend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError


def checked_map(anomaly_map: NDArray[Any]) -> NDArray[np.float32]:
    """The anomaly map if it is float32, (H, W), not empty and finite; FlawmapError otherwise."""
    if not isinstance(anomaly_map, np.ndarray) or anomaly_map.dtype != np.float32:
        kind = getattr(anomaly_map, "dtype", type(anomaly_map).__name__)
        raise FlawmapError(
            f"The anomaly map is {kind}, not float32.\nConvert it with numpy.asarray(map, 'f4')."
        )
    if anomaly_map.ndim != 2 or not anomaly_map.size:
        raise FlawmapError(
            f"The anomaly map has shape {anomaly_map.shape}, not (H, W) with at least one pixel.\n"
            "Pass one image at a time, without batch or channel axes."
        )
    if not np.isfinite(anomaly_map).all():
        raise FlawmapError(
            "The anomaly map has NaN or infinite scores.\n"
            "Check the model's output; such a map cannot be ranked."
        )
    return anomaly_map


def checked_mask(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask as bool if it is uint8 or bool, of the map's shape, and 0 or 1 all over."""
    if not isinstance(mask, np.ndarray) or mask.dtype not in (np.uint8, np.bool_):
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise FlawmapError(
            f"The mask is {kind}, not uint8 or bool.\nConvert it with (mask > 0).astype('u1')."
        )
    if mask.shape != shape:
        raise FlawmapError(
            f"The mask has shape {mask.shape}, the anomaly map {shape}.\n"
            "Resize the mask to the map's size, and threshold it again."
        )
    if mask.dtype == np.uint8 and mask.max() > 1:
        raise FlawmapError(
            f"The mask has values up to {mask.max()}, not only 0 and 1.\nPass mask > 0 instead."
        )
    return mask.astype(bool, copy=False)


def checked_score(score: float) -> float:
    """The image score if it is one finite number."""
    try:
        value = float(score)
    except (TypeError, ValueError) as error:
        raise FlawmapError(f"The image score is {score!r}.\nPass one finite number.") from error
    if not math.isfinite(value):
        raise FlawmapError(
            f"The image score is {value}, not a finite number.\nCheck the model's output."
        )
    return value


def checked_label(defective: bool, mask: NDArray[np.bool_] | None) -> bool:
    """The folder label if it is a bool and no good image has a defect in its mask."""
    if not isinstance(defective, (bool, np.bool_)):
        raise FlawmapError(f"The label is {defective!r}.\nPass True (defective) or False (good).")
    if not defective and mask is not None and mask.any():
        raise FlawmapError(
            "A good image has a mask with defect pixels.\n"
            "Correct its label, or leave the mask of good images out."
        )
    return bool(defective)
