"""Streaming evaluator: takes maps, masks and scores image by image, and computes all metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError, UsageError
from flawmap.evaluation.metrics.counts import KeyCounts, PixelCounts, Steps, UInt32, steps, to_keys
from flawmap.evaluation.metrics.instances import regions
from flawmap.evaluation.metrics.result import Metrics, compute_metrics

MAX_KEYS = 3 << 20  # 48 maps of 256 x 256 stay exact; 40 MB


class Evaluator:
    """Streaming, mergeable evaluator of a test set.

    Memory is bounded, except for a few numbers per image and instance. Image-level metrics are
    exact. Pixel-level metrics are exact while all maps together have at most `max_keys` distinct
    scores (3 million, so always for 48 maps of 256 x 256), and carry an error bound beyond
    (`Metrics.pixel_error_bound`). Metrics do not depend on the order of images or on how they were
    split over merged evaluators, up to float64 rounding.

    `pro_limit` in (0, 1] is the false positive rate up to which PRO integrates. Raises UsageError
    for an option out of range.

    >>> e = Evaluator()
    >>> e.update(np.array([[0.1, 0.9]], np.float32), np.array([[0, 1]], np.uint8), 0.9, True)
    >>> e.update(np.array([[0.2, 0.1]], np.float32), None, 0.2, False)
    >>> m = e.compute()
    >>> m["image_auroc"], m["pixel_ap"], m["pro"], m["iap"], m.instances
    (1.0, 1.0, 1.0, 1.0, 1)
    """

    def __init__(self, *, pro_limit: float = 0.3, max_keys: int = MAX_KEYS) -> None:
        if not 0 < pro_limit <= 1:
            raise UsageError(f"pro_limit is {pro_limit}; pass a rate above 0 and up to 1.")
        if max_keys < 2:
            raise UsageError(f"max_keys is {max_keys}; pass 2 or more.")
        self.pro_limit = pro_limit
        self._scores: list[float] = []
        self._defective: list[bool] = []
        self._pixels = PixelCounts(max_keys)
        self._thresholds: list[UInt32] = []
        self._without_mask = 0
        self._empty_masks = 0
        self._outside = 0

    def update(
        self,
        map: NDArray[np.float32],
        mask: NDArray[np.uint8] | NDArray[np.bool_] | None,
        score: float,
        defective: bool,
        region: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add one image: map float32 (H, W), finite; mask uint8 or bool (H, W) of 0 and 1.

        Without a mask a good image is all background, and a defective one counts at image level
        only. A defective image stays defective if its mask is empty. Pixels outside ``region``,
        bool (H, W), are not counted, and an image whose defects all lie outside is a good one.
        Raises FlawmapError, and counts nothing, for any other input.
        """
        checked = _checked_map(map)
        truth = None if mask is None else _checked_mask(mask, checked.shape)
        label = _checked_label(defective, truth)
        finite_score = _checked_score(score)
        inside = None if region is None else _checked_mask(region, checked.shape)
        outside = lies_outside(truth, inside)
        self._outside += outside
        label = label and not outside
        if inside is not None and truth is not None:
            truth = truth & inside
        self._scores.append(finite_score)
        self._defective.append(label)
        if not label:
            background = to_keys(checked)
            counted = background.ravel() if inside is None else background[inside]
            self._pixels.add(counted, np.empty(0, np.uint32), np.empty(0))
        elif truth is None:
            self._without_mask += 1
        else:
            self._add_regions(to_keys(checked), truth, inside)

    def merge(self, other: Evaluator) -> None:
        """Add all images of another evaluator, which is not changed.

        Raises FlawmapError if the two integrate PRO up to different limits.
        """
        if other.pro_limit != self.pro_limit:
            raise FlawmapError(
                f"These evaluators integrate PRO up to {self.pro_limit} and {other.pro_limit}.\n"
                "Give every shard the same pro_limit."
            )
        self._scores.extend(list(other._scores))
        self._defective.extend(list(other._defective))
        self._pixels.merge(other._pixels)
        self._thresholds.extend(list(other._thresholds))
        self._without_mask += other._without_mask
        self._empty_masks += other._empty_masks
        self._outside += other._outside

    def compute(self) -> Metrics:
        """Compute all metrics of the images so far; more may follow."""
        score, label = np.array(self._scores, np.float64), np.array(self._defective, bool)
        image = steps(KeyCounts.of_keys(score[label]), KeyCounts.of_keys(score[~label]))
        pixel = self._pixel_steps()
        dropped_bits = self._pixels.dropped_bits
        return compute_metrics(len(score), image, pixel, dropped_bits, self._mask_notes())

    def _pixel_steps(self) -> Steps:
        background, defect = self._pixels.tables()
        thresholds = np.sort(np.concatenate([np.empty(0, np.uint32), *self._thresholds]))
        above = np.searchsorted(defect.keys, thresholds >> self._pixels.dropped_bits)
        return replace(
            steps(defect, background),
            region_shares=defect.sums[1][::-1],
            instances=len(defect.keys) - 1 - above,
            pro_limit=self.pro_limit,
        )

    def _add_regions(
        self, keys: UInt32, truth: NDArray[np.bool_], inside: NDArray[np.bool_] | None
    ) -> None:
        defects = regions(keys, truth)
        background = ~truth if inside is None else inside & ~truth
        self._pixels.add(keys[background], defects.defect, defects.weights)
        self._empty_masks += not len(defects.thresholds)
        self._thresholds.append(defects.thresholds)

    def _mask_notes(self) -> dict[str, str]:
        notes = {}
        if self._without_mask:
            notes["without_mask"] = (
                f"defective images without a mask, left out of every pixel metric: "
                f"{self._without_mask}"
            )
        if self._empty_masks:
            notes["empty_masks"] = (
                f"defective images whose mask is empty, all background in every pixel metric: "
                f"{self._empty_masks}"
            )
        if self._outside:
            notes["outside_region"] = (
                f"defective images all of whose defects lie outside the region, counted as good: "
                f"{self._outside}"
            )
        return notes


def lies_outside(
    mask: NDArray[np.uint8] | NDArray[np.bool_] | None, region: NDArray[np.bool_] | None
) -> bool:
    """Whether a mask (H, W) marks something, but nothing within the region (H, W)."""
    if mask is None or region is None:
        return False
    return bool(mask.any()) and not mask[region].any()


def _checked_map(anomaly_map: NDArray[Any]) -> NDArray[np.float32]:
    """Return the anomaly map; raise FlawmapError unless it is finite float32 (H, W)."""
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


def _checked_mask(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the mask as bool; raise FlawmapError unless it is 0 or 1, of the map's shape."""
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


def _checked_score(score: float) -> float:
    """Return the image score; raise FlawmapError unless it is one finite number."""
    try:
        value = float(score)
    except (TypeError, ValueError) as error:
        raise FlawmapError(f"The image score is {score!r}.\nPass one finite number.") from error
    if not math.isfinite(value):
        raise FlawmapError(
            f"The image score is {value}, not a finite number.\nCheck the model's output."
        )
    return value


def _checked_label(defective: bool, mask: NDArray[np.bool_] | None) -> bool:
    """Return the label; raise FlawmapError if it is no bool or contradicts the mask."""
    if not isinstance(defective, (bool, np.bool_)):
        raise FlawmapError(f"The label is {defective!r}.\nPass True (defective) or False (good).")
    if not defective and mask is not None and mask.any():
        raise FlawmapError(
            "A good image has a mask with defect pixels.\n"
            "Correct its label, or leave the mask of good images out."
        )
    return bool(defective)
