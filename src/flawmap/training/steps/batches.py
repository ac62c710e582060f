"""Batch *t* as a pure function of (seed, *t*): images, rotations, noise, textures.

Images and textures are kept decoded in uint8 arrays; a batch takes a few row reads and tensor
operations on the training device. There are no workers and no hidden state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from flawmap.data.tiles import Tiles
from flawmap.methods.batch import Batch
from flawmap.synthesis.anomalies import AnomalyConfig, corrupt, draw_parameters
from flawmap.synthesis.perlin import rotate_each
from flawmap.training.steps.ranks import ALONE, Ranks
from flawmap.types import Rotation
from flawmap.utils.rng import Stream, generator

SLIGHT_DEGREES = 5.0
_DRAEM_DEGREES = 90.0
_DRAEM_SHARE = 0.3  # share of the images that are rotated
_GREY = 114.0 / 255.0


@dataclass(frozen=True)
class BatchMaker:
    """Maker of batch ``t`` from good images (N, H, W, 3) and textures (M, H, W, 3), both uint8.

    ``rows``: which of the images to use, all of them if None. ``anomalies``: if None, the images
    stay good and textures are not used. ``layout``: memory format of the images. Tiles are shifted
    at random, so that all places of an image are trained on. With several ``ranks``, each makes its
    own slice of the batch.
    """

    images: np.ndarray | Tiles
    textures: np.ndarray
    anomalies: AnomalyConfig | None
    batch_size: int
    rotation: Rotation
    fill: Literal["grey", "black", "edge"]
    seed: int
    device: torch.device
    ranks: Ranks = ALONE
    rows: np.ndarray | None = None
    layout: torch.memory_format = torch.channels_last

    def __call__(self, step: int) -> Batch:
        own = self.ranks.slice_of(self.batch_size)
        made = slice(None) if self._makes_whole_batches else own
        rows = self.order(step)
        clean = self._to_device(self._good(rows, step, made))
        degrees = self._degrees(step)
        if degrees is not None:
            clean = self._rotate(clean, torch.from_numpy(degrees[made]).to(self.device))
        if self.anomalies is None:
            corrupted, mask = clean, torch.zeros_like(clean[:, :1])
        else:
            corrupted, mask = self._corrupt(clean, step, self.anomalies, made)
        if self._makes_whole_batches:
            clean, corrupted, mask = clean[own], corrupted[own], mask[own]
        rows = rows[own]
        clean, corrupted = (x.contiguous(memory_format=self.layout) for x in (clean, corrupted))
        unchanged = degrees is None and not isinstance(self.images, Tiles)
        return Batch(clean, corrupted, mask, rows if unchanged else None)

    @property
    def _makes_whole_batches(self) -> bool:
        """Whether all images of a batch are made here, also those of other ranks.

        That is so where an anomaly may take pieces of the batch's other images.
        """
        alone = self.ranks.count == 1
        return alone or (self.anomalies is not None and self.anomalies.has_families)

    def _good(self, rows: np.ndarray, step: int, made: slice) -> np.ndarray:
        if isinstance(self.images, Tiles):
            rng = generator(self.seed, Stream.TILES, step)
            shifts = rng.uniform(-0.5, 0.5, (len(rows), 2))
            return self.images.near(rows[made], shifts[made])
        images: np.ndarray = self.images[rows[made]]
        return images

    def _corrupt(
        self, clean: Tensor, step: int, anomalies: AnomalyConfig, made: slice
    ) -> tuple[Tensor, Tensor]:
        rng = generator(self.seed, Stream.ANOMALY, step)
        drawn = draw_parameters(rng, self.batch_size, len(self.textures), anomalies)
        whole = self._makes_whole_batches
        parameters = drawn if whole else drawn.rows(np.arange(self.batch_size)[made])
        textures = self._to_device(self.textures[parameters.texture])
        return corrupt(clean, textures, parameters, anomalies)

    def order(self, step: int) -> np.ndarray:
        """Return the rows (B,) of the step's images; each epoch is a new permutation of all."""
        count = len(self.images) if self.rows is None else len(self.rows)
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = {int(e): self._permutation(int(e), count) for e in np.unique(positions // count)}
        picked = np.array([epochs[int(p // count)][p % count] for p in positions])
        return picked if self.rows is None else self.rows[picked]

    def _permutation(self, epoch: int, count: int) -> np.ndarray:
        return generator(self.seed, Stream.ORDER, epoch).permutation(count)

    def _degrees(self, step: int) -> np.ndarray | None:
        """Draw the angles (B,): ±5°, with ``full`` plus quarter turns; with ``draem`` ±90° or 0."""
        if self.rotation == "none":
            return None
        rng = generator(self.seed, Stream.ROTATION, step)
        if self.rotation == "draem":
            is_rotated = rng.random(self.batch_size) < _DRAEM_SHARE
            degrees = rng.uniform(-_DRAEM_DEGREES, _DRAEM_DEGREES, self.batch_size) * is_rotated
            return degrees.astype(np.float32)
        degrees = rng.uniform(-SLIGHT_DEGREES, SLIGHT_DEGREES, self.batch_size)
        if self.rotation == "full":
            degrees += 90.0 * rng.integers(0, 4, self.batch_size)
        return degrees.astype(np.float32)

    def _rotate(self, clean: Tensor, degrees: Tensor) -> Tensor:
        if self.fill == "edge":
            rotated = rotate_each(clean, degrees, padding="border")
        elif self.fill == "black":
            rotated = rotate_each(clean, degrees)
        else:
            rotated = rotate_each(clean - _GREY, degrees) + _GREY
        return rotated.contiguous(memory_format=torch.channels_last)  # as textures are

    def _to_device(self, images: np.ndarray) -> Tensor:
        rows = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        return rows.permute(0, 3, 1, 2).float() / 255.0
