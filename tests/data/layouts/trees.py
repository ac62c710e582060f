"""Small trees of files for the tests of listings and layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import encode_png
from flawmap.data.layouts import Dataset

_NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
PART = encode_png(_NOISE)
EMPTY = encode_png(np.zeros((8, 8), np.uint8))


def mask(*rows: int, value: int = 255) -> bytes:
    """A mask that marks these rows of eight."""
    array = np.zeros((8, 8), np.uint8)
    array[list(rows)] = value
    return encode_png(array)


MASK = mask(1)


def plant(root: Path, tree: Mapping[str, bytes | str | NDArray[np.uint8]] | str) -> Path:
    """Write files by path; a text of names makes images of parts, and folders for ``name/``."""
    if isinstance(tree, str):
        tree = dict.fromkeys(tree.split(), PART)
    for name, content in tree.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data if isinstance(data, bytes) else encode_png(data))
    return root


def trained_on(dataset: Dataset) -> list[str]:
    """The train split by path below the root."""
    return [path.relative_to(dataset.root).as_posix() for path in dataset.good_train]


def evaluated_on(dataset: Dataset) -> list[str]:
    """The test split as text: ``path``, or ``path TYPE MASK...`` where defective."""
    lines = []
    for sample in dataset.test:
        words = [sample.path] if sample.mask is None else [sample.path, sample.mask]
        paths = [p.relative_to(dataset.root).as_posix() for p in (*words, *sample.more_masks)]
        lines.append(" ".join([paths[0], sample.defect_type or "", *paths[1:]]).strip())
    return lines
