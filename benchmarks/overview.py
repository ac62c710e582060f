"""Draw the README's overview from a finished demo: ``python benchmarks/overview.py demo``.

Each column shows a defect type: the image, the map laid over it, and the ground truth.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from record import ROOT

import flawmap
from flawmap.data.image_io.images import read_image, resize_image, write_png
from flawmap.data.layouts import open_dataset
from flawmap.data.masks.decoding import read_mask
from flawmap.visualization.colour import PREDICTED, outline, overlay

SIDE = 192
GAP = 6


def main() -> None:
    """Write ``docs/overview.png``."""
    demo = Path(sys.argv[1])
    inspector = flawmap.Inspector.load(demo / "run")
    threshold = inspector.manifest.calibration.pixel.value
    columns = []
    for kind in open_dataset(demo / "data").defect_types:
        sample = next(s for s in open_dataset(demo / "data").test if s.defect_type == kind)
        image = resize_image(read_image(sample.path), inspector.size)
        inspection = inspector.inspect(image)
        marked = outline(
            overlay(image, inspection.anomaly_map, threshold), inspection.mask, PREDICTED
        )
        assert sample.mask is not None
        truth = np.repeat(255 * read_mask(sample.mask, inspector.size)[..., None], 3, 2)
        tiles = [resize_image(tile, (SIDE, SIDE)) for tile in (image, marked, truth)]
        columns.append(_stack(tiles, axis=0))
    write_png(ROOT / "docs" / "overview.png", _stack(columns, axis=1))


def _stack(tiles: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    space = np.full(shape, 255, np.uint8)
    parts = [part for tile in tiles for part in (space, tile)][1:]
    return np.concatenate(parts, axis)


if __name__ == "__main__":
    main()
