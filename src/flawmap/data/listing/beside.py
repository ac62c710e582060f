"""Masks recognised by content only, such as 7.png beside 7.jpg, or 7_defect.png."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import read_image
from flawmap.data.listing.names import drawing_base
from flawmap.errors import FlawmapError

_SAMPLED = 6  # pairs of a folder that decide for the rest if they agree
_ENOUGH = 24  # pairs of a tree that decide for all folders if they agree
_COLOURS = 32  # maximum number of colours in a drawn mask
_EXTREME = 0.98  # share of pixels that are black or white, in a mask that was saved as JPEG


Endings = Counter[str | None]
"""Counts of the endings that masks had; None counts pairs without a mask."""


def masks_by_content(images: Sequence[Path], endings: Endings) -> Iterator[tuple[Path, Path]]:
    """Yield image and mask if two files share a name and exactly one of them is a drawing.

    A few pairs of a folder are read, and the rest only if these disagree. ``endings`` counts the
    results of earlier folders: many pairs that all agree decide for this folder, too.
    """
    yield from _drawings(images)
    pairs = _pairs(images)
    decided: dict[tuple[Path, Path], Path | None] = {}
    if not _are_enough(endings, _ENOUGH):
        few = pairs[:: max(1, len(pairs) // _SAMPLED)][:_SAMPLED]
        decided = {pair: _drawn(pair) for pair in few}
        here = Counter(_ending(mask) for mask in decided.values())
        endings.update(here)
        if not _are_enough(here, len(few)):
            decided |= {pair: _drawn(pair) for pair in pairs if pair not in decided}
    kind = next((_ending(mask) for mask in decided.values()), next(iter(endings), None))
    for pair in pairs:
        mask = decided[pair] if pair in decided else _of_ending(pair, kind)
        if mask is not None:
            yield next(path for path in pair if path != mask), mask


def are_drawn(files: Sequence[Path]) -> bool | None:
    """Whether files are drawn masks and not camera images, judged by a few of them.

    Return None if none can be read.
    """
    answers = []
    for path in files[:: max(1, len(files) // _SAMPLED)][:_SAMPLED]:
        try:
            answers.append(_is_drawing(read_image(path)))
        except FlawmapError:
            continue
    return all(answers) if answers else None


def _drawings(images: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield image and mask if NAME_defect or the like is a drawing and its image NAME is not."""
    by_stem = {path.stem: path for path in images}
    for path in images:
        owner = by_stem.get(drawing_base(path.stem) or "")
        if owner is not None and _drawn((owner, path)) == path:
            yield owner, path


def _are_enough(counts: Endings, least: int) -> bool:
    """Whether there are at least ``least`` counts, all of one ending."""
    return len(counts) == 1 and sum(counts.values()) >= least


def _ending(mask: Path | None) -> str | None:
    return None if mask is None else mask.suffix.lower()


def _of_ending(pair: tuple[Path, Path], ending: str | None) -> Path | None:
    return next((path for path in pair if _ending(path) == ending), None)


def _pairs(images: Sequence[Path]) -> list[tuple[Path, Path]]:
    by_stem: defaultdict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_stem[path.stem.casefold()].append(path)
    return [
        (same[0], same[1])
        for same in by_stem.values()
        if len(same) == 2 and same[0].suffix.lower() != same[1].suffix.lower()
    ]


def _drawn(pair: tuple[Path, Path]) -> Path | None:
    """Return which of two files of one size is a drawing; None if both are, or neither."""
    try:
        first, second = (read_image(path) for path in pair)
    except FlawmapError:
        return None
    if first.shape != second.shape:
        return None
    drawn = _is_drawing(first), _is_drawing(second)
    return None if drawn[0] == drawn[1] else pair[drawn.index(True)]


def _is_drawing(image: NDArray[np.uint8]) -> bool:
    """Whether an image (h, w, 3) has few colours, or nothing but black and white."""
    flat = image.reshape(-1, 3)
    grey = np.ptp(flat, axis=1) <= 8
    extreme = grey & ((flat[:, 0] < 24) | (flat[:, 0] > 231))
    if extreme.mean() >= _EXTREME:
        return True
    codes = flat.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    return len(np.unique(codes)) <= _COLOURS
