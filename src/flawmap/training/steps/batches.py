"""Batch *t* as a pure function of (seed, *t*): images, rotations, noise, textures.

Images and textures are kept decoded in uint8 arrays; a batch takes a few row reads on the host
and tensor operations on the training device, for which the host does not wait. There is no hidden
state, so :mod:`flawmap.training.steps.ahead` may draw a batch before it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from flawmap.data.tiles import Tiles
from flawmap.methods.batch import Batch
from flawmap.synthesis.anomalies import (
    AnomalyConfig,
    AnomalyParameters,
    corrupt,
    draw_parameters,
)
from flawmap.synthesis.known_defects.draws import KnownDraws
from flawmap.synthesis.perlin import rotate_each
from flawmap.synthesis.upload import pinned, upload
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.steps.bank import Bank, as_images, room_on
from flawmap.training.steps.ranks import ALONE, Ranks
from flawmap.types import Rotation
from flawmap.utils.rng import Stream, generator

SLIGHT_DEGREES = 5.0
_DRAEM_DEGREES = 90.0
_DRAEM_SHARE = 0.3  # share of the images that are rotated
_GREY = 114.0 / 255.0


@dataclass(frozen=True)
class Drawn:
    """The host's part of a batch: its random numbers and images."""

    rows: np.ndarray  # (b,) of this rank's images
    own: slice  # this rank's part of what is made here
    images: Tensor  # see Bank.read
    degrees: np.ndarray | None
    parameters: AnomalyParameters | None
    textures: Tensor | None
    known: KnownDraws | None


@dataclass(frozen=True)
class BatchMaker:
    """Maker of batch ``t`` from good images (N, H, W, 3) and textures (M, H, W, 3), both uint8.

    ``rows``: which of the images to use, all of them if None. ``anomalies``: if None, the images
    stay good and textures are not used. ``layout``: memory format of the images. Tiles are shifted
    at random, so that all places of an image are trained on. With several ``ranks``, each makes its
    own slice of the batch. ``known``: real defects that join the synthetic ones.
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
    known: KnownBank | None = None

    def __call__(self, step: int) -> Batch:
        return self.finish(self.draw(step))

    def draw(self, step: int) -> Drawn:
        """Draw all random numbers of a batch and read its images, on the host only."""
        own = self.ranks.slice_of(self.batch_size)
        made = slice(None) if self._makes_whole_batches else own
        rows, degrees = self.order(step), self._degrees(step)
        parameters = self._parameters(step, made)
        return Drawn(
            rows=rows[own],
            own=own if self._makes_whole_batches else slice(None),
            images=self._read(rows, step, made),
            degrees=None if degrees is None else degrees[made],
            parameters=parameters,
            textures=None if parameters is None else self._textures.read(parameters.texture),
            known=self._known(step, own),
        )

    def finish(self, drawn: Drawn) -> Batch:
        """Compute the batch on the device; the host does not wait for it."""
        clean = self._load(drawn.images)
        if drawn.degrees is not None:
            clean = self._rotate(clean, upload(drawn.degrees, self.device))
        corrupted, mask = self._corrupt(clean, drawn)
        chosen = (x[drawn.own] for x in (clean, corrupted))
        clean, corrupted = (x.contiguous(memory_format=self.layout) for x in chosen)
        rows = drawn.rows if self._recur(drawn) else None
        batch = Batch(clean, corrupted, mask[drawn.own], rows)
        if self.known is None or drawn.known is None:
            return batch
        return self.known.show(batch, drawn.known)

    def _recur(self, drawn: Drawn) -> bool:
        """Whether the images come again as they are, so that their features can be remembered.

        On CUDA that is not done: a step that looks them up cannot be captured as a graph.
        """
        unchanged = drawn.degrees is None and not isinstance(self.images, Tiles)
        return unchanged and self.device.type != "cuda"

    @property
    def _makes_whole_batches(self) -> bool:
        """Whether all images of a batch are made here, also those of other ranks.

        That is so where an anomaly may take pieces of the batch's other images.
        """
        alone = self.ranks.count == 1
        return alone or (self.anomalies is not None and self.anomalies.has_families)

    @cached_property
    def _banks(self) -> tuple[Bank | None, Bank]:
        """Images, if they are no tiles, and textures; the images come first on the device."""
        room = room_on(self.device)
        if isinstance(self.images, Tiles):
            return None, Bank.of(self.textures, self.device, room)
        images = Bank.of(self.images, self.device, room)
        return images, Bank.of(self.textures, self.device, room - images.kept_bytes)

    @property
    def _textures(self) -> Bank:
        return self._banks[1]

    def _read(self, rows: np.ndarray, step: int, made: slice) -> Tensor:
        images = self._banks[0]
        if images is not None:
            return images.read(rows[made])
        rng = generator(self.seed, Stream.TILES, step)
        shifts = rng.uniform(-0.5, 0.5, (len(rows), 2))
        return pinned(cast(Tiles, self.images).near(rows[made], shifts[made]), self.device)

    def _load(self, read: Tensor) -> Tensor:
        images = self._banks[0]
        if images is not None:
            return images.load(read)
        return as_images(read.to(self.device, non_blocking=True))

    def _parameters(self, step: int, made: slice) -> AnomalyParameters | None:
        if self.anomalies is None:
            return None
        rng = generator(self.seed, Stream.ANOMALY, step)
        drawn = draw_parameters(rng, self.batch_size, len(self.textures), self.anomalies)
        if self._makes_whole_batches:
            return drawn
        return drawn.rows(np.arange(self.batch_size)[made])

    def _known(self, step: int, own: slice) -> KnownDraws | None:
        """Draw the known defects of a step; only this rank's, from numbers of the whole batch."""
        if self.known is None or step < self.known.first_step:
            return None
        rng = generator(self.seed, Stream.KNOWN, step)
        return self.known.draw(rng, self.batch_size).rows(np.arange(self.batch_size)[own])

    def _corrupt(self, clean: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        if self.anomalies is None or drawn.parameters is None or drawn.textures is None:
            return clean, torch.zeros_like(clean[:, :1])
        textures = self._textures.load(drawn.textures)
        return corrupt(clean, textures, drawn.parameters, self.anomalies)

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
