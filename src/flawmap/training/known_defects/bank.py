"""Known defects as batches show them: drawn on the host, shown on the training device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from flawmap.methods.batch import Batch
from flawmap.synthesis.known_defects.draws import Freedom, KnownConfig, KnownDraws, draw_known
from flawmap.synthesis.known_defects.paste import Defects, paste_defects, show_defects
from flawmap.synthesis.upload import upload
from flawmap.training.known_defects.load import KnownDefects


@dataclass(frozen=True)
class KnownBank:
    """Known defects for batches from ``first_step`` on, when the head starts to learn."""

    defects: KnownDefects
    config: KnownConfig
    freedom: Freedom
    first_step: int

    def draw(self, rng: np.random.Generator, batch: int) -> KnownDraws:
        """Draw the random numbers of a whole batch."""
        known = self.defects
        return draw_known(
            rng, batch, known.types, known.pieces, known.centres, self.freedom, self.config
        )

    def show(self, batch: Batch, draws: KnownDraws) -> Batch:
        """Return the batch with some corrupted images, and their masks, replaced."""
        corrupted, mask = batch.corrupted.clone(), batch.mask.clone()
        pasted = np.flatnonzero(draws.shown & draws.pasted)
        real = np.flatnonzero(draws.shown & ~draws.pasted)
        if len(pasted):
            own, at = draws.rows(pasted), upload(pasted, corrupted.device)
            masks = self.defects.piece_masks[own.piece]
            defects = self._read(own, masks, self.defects.centres[own.piece], corrupted.device)
            corrupted[at], mask[at] = paste_defects(batch.clean[at], defects, own)
        if len(real):
            own, at = draws.rows(real), upload(real, corrupted.device)
            masks = self.defects.masks[own.defect]
            middle = np.full((len(real), 2), 0.5, np.float32)
            defects = self._read(own, masks, middle, corrupted.device)
            corrupted[at], mask[at] = show_defects(defects, own)
        is_real = draws.shown & ~draws.pasted
        marked = ~is_real | self.defects.masked[draws.defect]
        return replace(
            batch,
            corrupted=corrupted,
            mask=mask,
            real=upload(is_real.astype(np.float32), corrupted.device),
            marked=upload(marked.astype(np.float32), corrupted.device),
        )

    def _read(
        self, draws: KnownDraws, masks: np.ndarray, centres: np.ndarray, device: torch.device
    ) -> Defects:
        pixels = upload(self.defects.images[draws.defect], device)
        return Defects(
            images=pixels.permute(0, 3, 1, 2).float() / 255.0,
            masks=upload(masks, device)[:, None].float(),
            centres=upload(centres, device),
        )
