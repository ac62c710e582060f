"""Memory of the teacher's features of good images, and the distance of a new image from it.

The memory resembles PatchCore's (Roth et al., CVPR 2022) but stores cluster centres; if placed,
each block of places has its own memory, as in PaDiM (Defard et al., ICPR 2021). It detects defects
that synthetic anomalies do not cover: large and faint changes, and missing or misplaced parts,
which consist of good structures only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.features import normalise
from flawmap.methods.modules.readout import topk_mean
from flawmap.methods.normality.config import MemoryConfig

_CELLS = 6  # least familiar cells, which weight the score
_KNOWN, _UNKNOWN = 0.4, 0.6  # a place starts and fully counts as unfamiliar at these
_GROWTH = 3.0  # the memory's weight is the unfamiliar area to this power
_SCORE_POWER = 8.0


def describe(features: Sequence[Tensor]) -> Tensor:
    """Describe images (B, C, h, w) float32 by a backbone's two coarsest levels, or its only one.

    They are unit features, averaged over 3x3 places, at the finer stage's size. Squared distances
    lie in 0..4.
    """
    pooled = [
        F.avg_pool2d(normalise(level), 3, 1, 1, count_include_pad=False) for level in features[-2:]
    ]
    size = (pooled[0].shape[-2], pooled[0].shape[-1])
    return torch.cat([upsample(level, size) for level in pooled], 1)


def nearest(places: Tensor, prototypes: Tensor) -> Tensor:
    """Return squared distances (B, h, w) of (B, C, h, w) to their block's nearest prototype.

    ``prototypes`` (G, M, C): M for each of G square blocks of places, row by row; if G is 1, the
    block is the whole map.
    """
    batch, channels, height, width = places.shape
    blocks = len(prototypes)
    side = math.isqrt(height * width // blocks)
    down, across = (1, 1) if blocks == 1 else (height // side, width // side)
    tall, wide = height // down, width // across
    cut = places.reshape(batch, channels, down, tall, across, wide)
    rows = cut.permute(2, 4, 0, 3, 5, 1).reshape(blocks, batch * tall * wide, channels)
    products = torch.bmm(rows, prototypes.transpose(1, 2))
    lengths = (prototypes * prototypes).sum(2)[:, None]
    lowest = (lengths - 2.0 * products).amin(2) + (rows * rows).sum(2)
    distances = lowest.clamp(min=0.0).reshape(down, across, batch, tall, wide)
    return distances.permute(2, 0, 3, 1, 4).reshape(batch, height, width)


def least_familiar(unfamiliar: Tensor) -> Tensor:
    """Return a memory's own image score (B,) in 0..1: the mean of the top few of (B, 1, h, w)."""
    return topk_mean(unfamiliar, _CELLS)


class NormalityMemory(nn.Module):
    """Measure how unfamiliar a teacher's stages are, and fuse this with a method's map.

    ``prototypes``: see :func:`nearest`; empty until filled. ``half_distance``: the squared
    distance with unfamiliarity one half.
    """

    prototypes: Tensor
    half_distance: Tensor

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("prototypes", torch.zeros(1, 0, 0))
        self.register_buffer("half_distance", torch.ones(()))

    def keep(self, prototypes: Tensor, half_distance: float) -> None:
        """Store prototypes and half distance."""
        self.prototypes = prototypes.to(self.half_distance.device)
        self.half_distance.fill_(half_distance)

    def unfamiliar(self, features: Sequence[Tensor]) -> Tensor | None:
        """Map stages (B, C_k, H_k, W_k) to (B, 1, h, w) in 0..1, float32; None until filled."""
        if not self.prototypes.shape[1]:
            return None
        places = describe(features)
        distance = nearest(places, self.prototypes)[:, None]
        return distance / (distance + self.half_distance)

    def join(self, anomaly: Tensor, unfamiliar: Tensor | None) -> Tensor:
        """Raise a method's map (B, 1, H, W) in 0..1 at unfamiliar places; it stays in 0..1.

        A place is anomalous if the method or the memory finds it so; the two count as independent.
        The memory's weight grows with the unfamiliar area: the memory detects areas, and would only
        blur the edges of small defects, which methods localise best.
        ``unfamiliar`` (B, 1, h, w): see :meth:`unfamiliar`; None leaves the map as it is.
        """
        if unfamiliar is None:
            return anomaly
        own = upsample(unfamiliar, (anomaly.shape[-2], anomaly.shape[-1])).pow(self.config.power)
        return anomaly + self._weight(unfamiliar) * own * (1.0 - anomaly)

    def _weight(self, unfamiliar: Tensor) -> Tensor:
        """Return the weight of the memory's map in each image, (B, 1, 1, 1) in 0..1."""
        unknown = ((unfamiliar - _KNOWN) / (_UNKNOWN - _KNOWN)).clamp(0.0, 1.0)
        area = unknown.mean((1, 2, 3), keepdim=True)
        return (self.config.share + (area / self.config.area).pow(_GROWTH)).clamp(max=1.0)

    def weigh(self, score: Tensor, unfamiliar: Tensor | None) -> Tensor:
        """Lower a method's image score (B,) in 0..1 if the whole image is familiar.

        The memory's own score is added: if a part is missing, the method may detect nothing.
        """
        if unfamiliar is None:
            return score
        config, share = self.config, self.config.score_share
        top = least_familiar(unfamiliar)
        weighed = score * top.pow(config.score_power)
        return (weighed + share * top.pow(_SCORE_POWER)) * (1.0 / (1.0 + share))

    def outputs(self, unfamiliar: Tensor | None) -> tuple[Tensor, ...]:
        """Return the outputs that the memory adds to the method's: see :meth:`unfamiliar`."""
        return () if unfamiliar is None else (unfamiliar,)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Resize ``prototypes`` to the stored number before loading."""
        if (stored := state.get(f"{prefix}prototypes")) is not None:
            self.prototypes = torch.zeros_like(stored, device=self.half_distance.device)
        super()._load_from_state_dict(state, prefix, *rest)


class NoMemory(nn.Module):
    """Placeholder if no memory is configured: maps and scores stay the method's."""

    def unfamiliar(self, features: Sequence[Tensor]) -> None:
        """Return None: no memory."""

    def join(self, anomaly: Tensor, unfamiliar: None) -> Tensor:
        """Return the map unchanged."""
        return anomaly

    def weigh(self, score: Tensor, unfamiliar: None) -> Tensor:
        """Return the score unchanged."""
        return score

    def outputs(self, unfamiliar: None) -> tuple[Tensor, ...]:
        """Return no additional outputs."""
        return ()


def build_memory(config: MemoryConfig | None) -> Any:
    """Build an empty :class:`NormalityMemory`, or :class:`NoMemory` if none is configured."""
    if config is None or config.kind == "none":
        return NoMemory()
    return NormalityMemory(config)


def is_filled(module: nn.Module) -> bool:
    """Return whether a method's module has a filled memory."""
    memory = getattr(module, "memory", None)
    return isinstance(memory, NormalityMemory) and memory.prototypes.shape[1] > 0
