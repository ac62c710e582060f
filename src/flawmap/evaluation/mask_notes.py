"""Notes on suspicious masks: empty, full, inverted or outside the region of interest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import ImageError
from flawmap.data.layouts import Sample
from flawmap.data.layouts.shared.kinds import mask_files
from flawmap.data.masks.annotations import AnnotatedImage, has_area, left_out
from flawmap.data.masks.decoding import marks_anything
from flawmap.evaluation.metrics.evaluator import lies_outside

Mask = NDArray[np.uint8]

_MOST = 0.5  # a mask counts as inverted if it marks more than this share of its image
_BORDER = 0.9  # and at least this share of the image's border
_SAYS = {
    "empty": (
        "Masks of defective images that mark nothing",
        "draw the defects, or move these images to the good ones",
    ),
    "small": (
        "Masks that mark less than a pixel of the anomaly map",
        "train at a larger --size or with --fit tiles to have these defects counted",
    ),
    "full": (
        "Masks that mark the whole image",
        "draw the defect alone, or remove the mask",
    ),
    "inverted": (
        "Masks that are probably inverted: they mark most of the image and its border",
        "invert them if the defect is black there and the rest white",
    ),
    "outside": (
        "Masks that mark nothing within the region of interest",
        "these images count as good in the metrics, and in no rate of verdicts",
    ),
}


class MaskNotes:
    """Count suspicious masks of defective images by kind, with one example each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, object] = {}
        self._no_area: Counter[str] = Counter()
        self._no_area_in: object = None

    def add(self, sample: Sample, mask: Mask | None, region: NDArray[np.bool_] | None) -> None:
        """Check the mask (h, w) of a sample, at the map's size."""
        if mask is None or sample.mask is None or sample.label == "good":
            return
        kind = _kind(sample, mask, region)
        if kind is not None:
            self._counts[kind] += 1
            self._first.setdefault(kind, sample.mask)
        if isinstance(sample.mask, AnnotatedImage):
            without_area = left_out(sample.mask)
            if without_area:
                self._no_area += without_area
                self._no_area_in = self._no_area_in or sample.mask

    def lines(self) -> Iterator[str]:
        """Yield one line for each kind that occurs."""
        for kind, (what, advice) in _SAYS.items():
            if self._counts[kind]:
                yield f"{what}: {self._counts[kind]}, such as {self._first[kind]}; {advice}."
        if self._no_area:
            kinds = ", ".join(f"{n} {kind}" for kind, n in self._no_area.most_common(5))
            yield (
                f"Shapes without an area are left out ({kinds}), such as in {self._no_area_in}: "
                "draw the defects as polygons."
            )


def _kind(sample: Sample, mask: Mask, region: NDArray[np.bool_] | None) -> str | None:
    marked = float(mask.mean())
    if marked == 0:
        return "small" if _marks_anything(sample) else "empty"
    if lies_outside(mask, region):
        return "outside"
    if marked == 1:
        return "full"
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return "inverted" if marked > _MOST and border.mean() >= _BORDER else None


def _marks_anything(sample: Sample) -> bool:
    """Whether the mask marks a pixel at its own size; False if it cannot be read."""
    try:
        return any(
            has_area(mask) if isinstance(mask, AnnotatedImage) else marks_anything(mask)
            for mask in mask_files(sample)
        )
    except ImageError:
        return False
