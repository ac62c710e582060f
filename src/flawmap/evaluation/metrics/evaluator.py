"""Maps, masks and scores in, one image at a time; every figure of the test set out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError, UsageError
from flawmap.evaluation.metrics import checks
from flawmap.evaluation.metrics.counting.keys import UInt32, to_keys
from flawmap.evaluation.metrics.counting.pixels import PixelCounts
from flawmap.evaluation.metrics.figures import Figures
from flawmap.evaluation.metrics.regions import regions
from flawmap.evaluation.metrics.summary import image_part, pixel_part

MAX_KEYS = 3 << 20  # 48 maps of 256 x 256 stay exact; 40 MB


class Evaluator:
    """Streaming and mergeable: memory is bounded, but for a few numbers an image and instance.

    Image-level figures are exact. Pixel-level figures are exact while all maps together have at
    most `max_keys` distinct scores (3 million, so 48 maps of 256 x 256 whatever is in them), and
    carry an error bound beyond (`Figures.pixel_error_bound`). Figures do not depend on the order
    of images or on how they were split over merged evaluators, up to float64 rounding.

    `pro_limit` in (0, 1] is the false positive rate up to which PRO integrates. Raises UsageError
    for an option out of range.

    >>> e = Evaluator()
    >>> e.update(np.array([[0.1, 0.9]], np.float32), np.array([[0, 1]], np.uint8), 0.9, True)
    >>> e.update(np.array([[0.2, 0.1]], np.float32), None, 0.2, False)
    >>> f = e.compute()
    >>> f.image_auroc, f.pixel_ap, f.pro, f.iap, f.instances
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
        bool (H, W), are not counted, and an image all of whose defects lie there is a good one.
        Raises FlawmapError, and counts nothing, where anything is not as said.
        """
        checked = checks.checked_map(map)
        truth = None if mask is None else checks.checked_mask(mask, checked.shape)
        label = checks.checked_label(defective, truth)
        looked = None if region is None else checks.checked_mask(region, checked.shape)
        if looked is not None and truth is not None and truth.any():
            truth = truth & looked
            outside = not truth.any()
            self._outside += outside
            label = label and not outside
        self._scores.append(checks.checked_score(score))
        self._defective.append(label)
        if not label:
            background = to_keys(checked)
            seen = background.ravel() if looked is None else background[looked]
            self._pixels.add(seen, np.empty(0, np.uint32), np.empty(0))
        elif truth is None:
            self._without_mask += 1
        else:
            self._add_regions(to_keys(checked), truth, looked)

    def merge(self, other: Evaluator) -> None:
        """Add all that another evaluator has seen; the other is left as it was.

        Raises FlawmapError where the two integrate PRO up to different limits.
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

    def compute(self) -> Figures:
        """The figures of everything so far; more images may follow."""
        image = image_part(self._scores, self._defective)
        background, defect = self._pixels.tables()
        thresholds = np.concatenate([np.empty(0, np.uint32), *self._thresholds])
        dropped_bits = self._pixels.dropped_bits
        pixel = pixel_part(background, defect, thresholds, dropped_bits, self.pro_limit)
        parts = image | pixel
        parts["curves"] = image.get("curves", {}) | pixel.get("curves", {})
        parts["notes"] = image.get("notes", {}) | pixel.get("notes", {}) | self._mask_notes()
        return Figures(images=len(self._scores), instances=len(thresholds), **parts)

    def _add_regions(
        self, keys: UInt32, truth: NDArray[np.bool_], looked: NDArray[np.bool_] | None
    ) -> None:
        found = regions(keys, truth)
        background = ~truth if looked is None else looked & ~truth
        self._pixels.add(keys[background], found.defect, found.weights)
        self._empty_masks += not len(found.thresholds)
        self._thresholds.append(found.thresholds)

    def _mask_notes(self) -> dict[str, str]:
        notes = {}
        if self._without_mask:
            notes["without_mask"] = (
                f"defective images without a mask, left out of every pixel figure: "
                f"{self._without_mask}"
            )
        if self._empty_masks:
            notes["empty_masks"] = (
                f"defective images whose mask is empty, all background in every pixel figure: "
                f"{self._empty_masks}"
            )
        if self._outside:
            notes["outside_region"] = (
                f"defective images all of whose defects lie outside the region, counted as good: "
                f"{self._outside}"
            )
        return notes
