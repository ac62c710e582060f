"""Baseline on the suite: a nearest-neighbour memory without any training.

``python benchmarks/plain_memory.py`` writes ``benchmarks/results/plain_memory.json``. The memory
holds 16,000 random positions of all good training images: the unchanged features of the `pocket`
teacher's stages 2 and 3, averaged over 3x3 positions. The anomaly of a position is the Euclidean
distance to the nearest entry; the map is enlarged and blurred by 4 pixels like PatchCore's, and
the image score is its maximum.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import ROOT, write_result
from torch import Tensor
from torch.nn import functional as F

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import ImageNorm
from flawmap.backbones.weights import load_teacher
from flawmap.benchmark.grid import Cell, read_grid
from flawmap.data.image_io.images import read_image, resize_image
from flawmap.data.layouts import open_dataset
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.catalogue import compared_metrics
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.readout import Smoothing

PLACES = 16_000
BLUR = 4.0  # pixels
TOGETHER = 8


def describe(teacher: Backbone, images: np.ndarray) -> Tensor:
    """Return features (B, C, h, w) of images uint8 (B, H, W, 3), at the size of stage 2."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    levels = [
        F.avg_pool2d(x, 3, 1, 1) for x in teacher(ImageNorm(teacher.mean, teacher.std)(pixels))[1:]
    ]
    return torch.cat([upsample(x, tuple(levels[0].shape[-2:])) for x in levels], 1)


def measure(cell: Cell) -> dict[str, Any]:
    """Return the metrics of one product and seed."""
    teacher = load_teacher(cell.teacher)[0].eval()
    height, width = (int(side) for side in (cell.options.size or "256x256").split("x"))
    data = open_dataset(cell.data)
    goods = np.stack([resize_image(read_image(path), (height, width)) for path in data.good_train])
    draw = torch.Generator().manual_seed(cell.seed)
    chosen, share = [], PLACES / len(goods)
    for first in range(0, len(goods), TOGETHER):
        places = describe(teacher, goods[first : first + TOGETHER]).movedim(1, 3).flatten(0, 2)
        count = min(len(places), round(share * min(TOGETHER, len(goods) - first)) + 1)
        chosen.append(places[torch.randperm(len(places), generator=draw)[:count]])
    memory, evaluator, blur = torch.cat(chosen)[:PLACES], Evaluator(), Smoothing(BLUR)
    for sample in data.test:
        image = read_image(sample.path)
        places = describe(teacher, resize_image(image, (height, width))[None])
        nearest = torch.cdist(places.movedim(1, 3).flatten(0, 2), memory).amin(1)
        small = nearest.view(1, 1, *places.shape[-2:])
        large = blur(upsample(small, (height, width)))[0, 0]
        mask = sample_mask(sample, (height, width), (image.shape[0], image.shape[1]))
        evaluator.update(large.numpy(), mask, float(large.max()), sample.label == "defective")
    metrics = evaluator.compute()
    values = {one.key: metrics[one.key] for one in compared_metrics()}
    print(cell.category, cell.seed, {key: round(value, 3) for key, value in values.items()})
    return {"category": cell.category, "seed": cell.seed, "images": len(goods), "figures": values}


def main() -> None:
    """Measure the suite."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    cells = read_grid(Path(ROOT / "benchmarks" / "suite.yaml")).cells()
    with torch.inference_mode():
        runs = [measure(cell) for cell in cells]
    write_result("plain_memory", places=PLACES, blur=BLUR, teacher="pocket", runs=runs)


if __name__ == "__main__":
    main()
