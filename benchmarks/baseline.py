"""Plain transcription of DeSTSeg's published training step: the reference for flawmap's speed.

It follows the paper and its published code: float32; images are read, rotated and corrupted one
at a time on the host; every step runs the whole model, and the teacher a second time on the clean
image; the second phase also computes the student's gradients, which are not used. The networks
are flawmap's own, whose teacher has folded norms, so the baseline is slightly faster than the
original.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from flawmap.methods.destseg.head import PaperHead
from flawmap.methods.destseg.model import Destseg

Phase = Literal["student", "head"]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


class Baseline:
    """Training of the paper's model on images of a category, corrupted with texture images."""

    def __init__(
        self,
        model: Destseg,
        images: Sequence[Path],
        textures: Sequence[Path],
        batch: int,
        size: int = 256,
    ) -> None:
        self.model = model
        self.size = size
        self.images = images
        self.textures = textures
        self.batch = batch
        self.rng = np.random.default_rng(0)
        head = model.head
        assert isinstance(head, PaperHead)
        sgd = {"momentum": 0.9, "weight_decay": 1e-4}
        self.student_optimiser = torch.optim.SGD(model.student.parameters(), lr=0.4, **sgd)
        self.head_optimiser = torch.optim.SGD(
            [
                {"params": head.res.parameters(), "lr": 0.1},
                {"params": head.head.parameters(), "lr": 0.01},
            ],
            lr=0.01,
            **sgd,
        )

    def step(self, phase: Phase) -> float:
        """Run one step of a phase; return its loss."""
        device = next(self.model.parameters()).device
        clean, corrupted, mask = (torch.from_numpy(x).to(device) for x in self._make_batch())
        self.model.student.train(phase == "student").requires_grad_(True)
        self.model.head.train(phase == "head").requires_grad_(True)
        with torch.no_grad():
            teacher = self.model.teacher(corrupted)
            target = self.model.teacher(clean)
        student = self.model.student(corrupted, teacher)
        products = [-_unit(t) * _unit(s) for t, s in zip(teacher, student, strict=True)]
        output = self.model.head((products[0], products[1], products[2])).sigmoid()
        distances = [1 - (_unit(t) * _unit(s)).sum(1) for t, s in zip(target, student, strict=True)]
        if phase == "student":
            optimiser = self.student_optimiser
            loss = sum((d.mean((1, 2)).sum() for d in distances), torch.zeros((), device=device))
        else:
            optimiser = self.head_optimiser
            loss = _segmentation_loss(output, mask)
        self.student_optimiser.zero_grad()
        self.head_optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.item()

    def _make_batch(self) -> tuple[NDArray[np.float32], ...]:
        made = [self._make_image() for _ in range(self.batch)]
        return tuple(np.stack(column) for column in zip(*made, strict=True))

    def _make_image(self) -> tuple[NDArray[np.float32], ...]:
        clean = self._turned(self._read(self.images))
        texture = np.asarray(self._read(self.textures))
        mask = perlin_mask(self.rng, self.size)[:, :, None]
        share = np.float32(self.rng.uniform(0, 0.8))
        good = np.asarray(clean, np.float32) / 255
        mixed = (1 - share) * texture.astype(np.float32) / 255 + share * good
        corrupted = np.where(mask, mixed, good)
        tensors = [((x - _MEAN) / _STD).transpose(2, 0, 1) for x in (good, corrupted)]
        return (*tensors, mask.transpose(2, 0, 1).astype(np.float32))

    def _read(self, paths: Sequence[Path]) -> Image.Image:
        with Image.open(paths[self.rng.integers(len(paths))]) as image:
            rgb = image.convert("RGB")
        return rgb.resize((self.size, self.size), Image.Resampling.BILINEAR)

    def _turned(self, image: Image.Image) -> Image.Image:
        grey = (114, 114, 114)
        for degrees in (90 * self.rng.integers(0, 4), self.rng.uniform(-5, 5)):
            image = image.rotate(float(degrees), Image.Resampling.BILINEAR, fillcolor=grey)
        return image


def perlin_mask(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return where rotated Perlin noise exceeds one half, bool (size, size)."""
    rows, columns = 2 ** rng.integers(0, 6, 2)
    angles = rng.uniform(0, 2 * np.pi, (rows + 1, columns + 1))
    y, x = np.meshgrid(
        np.linspace(0, rows, size, endpoint=False),
        np.linspace(0, columns, size, endpoint=False),
        indexing="ij",
    )
    row, column = y.astype(int), x.astype(int)
    y, x = y - row, x - column
    corner = {}
    for i in (0, 1):
        for j in (0, 1):
            angle = angles[row + i, column + j]
            corner[i, j] = np.cos(angle) * (x - j) + np.sin(angle) * (y - i)
    fade_x, fade_y = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (x, y))
    top = corner[0, 0] + fade_x * (corner[0, 1] - corner[0, 0])
    bottom = corner[1, 0] + fade_x * (corner[1, 1] - corner[1, 0])
    noise = np.sqrt(2) * (top + fade_y * (bottom - top))
    turned = ndimage.rotate(noise, rng.uniform(-90, 90), reshape=False, order=1)
    mask: NDArray[np.bool_] = turned > 0.5
    return mask


def _unit(x: Tensor) -> Tensor:
    unit: Tensor = x / (x.norm(dim=1, keepdim=True) + 1e-12)
    return unit


def _segmentation_loss(output: Tensor, mask: Tensor) -> Tensor:
    size = (output.shape[-2], output.shape[-1])
    small = (F.interpolate(mask, size=size, mode="bilinear") >= 0.5).float()
    right = output * small + (1 - output) * (1 - small)
    focal = -((1 - right) ** 4 * right.clamp(min=1e-8).log()).mean()
    return focal + (output - small).abs().mean()
