"""The folder in which a page's blocks run: every input that the pages name, in miniature."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np

from docs.blocks import ROOT
from flawmap.data.image_io.images import write_png


def fill(folder: Path, product: Path) -> None:
    """Write the inputs, cut from ``product``, 96x96 images in the layout of MVTec AD."""
    good, more = product / "train" / "good", product / "test" / "good"
    defective = [kind for kind in (product / "test").iterdir() if kind.name != "good"]
    for name in ("parts/good", "good_parts"):
        shutil.copytree(good, folder / name)
    for name in ("new_images", "more_good_images", "images", "incoming"):
        shutil.copytree(more, folder / name)
    for name in ("parts/defective", "parts/masks", "known_defects"):
        (folder / name).mkdir(parents=True)
    for kind in defective:
        for image in kind.iterdir():
            mask = product / "ground_truth" / kind.name / f"{image.stem}_mask.png"
            own = f"{kind.name}{image.name}"
            shutil.copy(image, folder / "parts" / "defective" / own)
            shutil.copy(image, folder / "known_defects" / own)
            shutil.copy(mask, folder / "parts" / "masks" / own)
    shutil.copy(next(more.iterdir()), folder / "new_images" / "part.png")
    for name in ("screw", "toothbrush"):
        shutil.copytree(product, folder / "mvtec_ad" / name)
    _draw_regions(folder)
    for side in ("before", "after"):
        (folder / side).mkdir()
        for file in (ROOT / "benchmarks" / "results").glob("*-destseg-fast-pocket-*.json"):
            shutil.copy(file, folder / side)


def link_run(run: Path, folder: Path) -> None:
    """Copy a run whose large files are links."""
    shutil.copytree(run, folder, copy_function=_link_large)


def _link_large(source: str, target: str) -> None:
    if Path(source).stat().st_size > 2**20:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _draw_regions(folder: Path) -> None:
    white = np.zeros((96, 96), np.uint8)
    white[8:88, 8:88] = 255
    write_png(folder / "roi.png", white)
    polygons = {"size": [96, 96], "polygons": [[[8, 8], [16, 8], [16, 16]]]}
    (folder / "labels.json").write_text(json.dumps(polygons), encoding="utf-8")
