"""Configuration of known defects in training, and the random numbers of a batch of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

CANDIDATES = 6  # places drawn for a pasted defect; the first that lies on the part is taken
_PLACED = 0.04  # of the image's side: how far a defect moves where parts lie alike
_PLACED_DEGREES = 5.0
_FREE_DEGREES = 15.0


class KnownConfig(BaseModel):
    """How real defects with masks join the synthetic ones that the head learns from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(
        0.5, ge=0, le=1, description="fraction of the head's samples that show a known defect"
    )
    pasted: float = Field(
        0.5,
        ge=0,
        le=1,
        description="fraction of these that are pasted onto a good image; the others are the "
        "defective images themselves",
    )
    scale: tuple[float, float] = Field(
        (0.75, 1.33), description="range of the factor on the size of a pasted defect"
    )
    opacity: tuple[float, float] = Field(
        (0.6, 1.0), description="range of the opacity of a pasted defect"
    )
    brightness: float = Field(
        0.1, ge=0, lt=1, description="largest change of an image's contrast and brightness"
    )

    @model_validator(mode="after")
    def _ranges(self) -> KnownConfig:
        for name in ("scale", "opacity"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: give a range as two numbers above 0, the lower first")
        return self


@dataclass(frozen=True)
class KnownDraws:
    """Random numbers of the known defects of one batch, all on the host."""

    shown: np.ndarray  # (B,) bool, whether the sample shows a known defect
    pasted: np.ndarray  # (B,) bool, onto a good image
    defect: np.ndarray  # (B,) int64, row of the defects
    degrees: np.ndarray  # (B,) float32
    scale: np.ndarray  # (B,) float32
    flipped: np.ndarray  # (B, 2) bool, down and across
    places: np.ndarray  # (B, CANDIDATES, 2) float32: centre, down and across, in 0..1
    opacity: np.ndarray  # (B,) float32
    gain: np.ndarray  # (B,) float32
    offset: np.ndarray  # (B,) float32

    def rows(self, rows: np.ndarray) -> KnownDraws:
        """Select samples by index."""
        return KnownDraws(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Freedom:
    """How good images may vary, so that pasted defects vary no further.

    ``placed``: parts lie alike, so a defect stays near its place; ``turned``: they lie at any
    angle, so a defect may, too.
    """

    placed: bool
    turned: bool


def draw_known(
    rng: np.random.Generator,
    batch: int,
    types: np.ndarray,
    masked: np.ndarray,
    centres: np.ndarray,
    freedom: Freedom,
    config: KnownConfig,
) -> KnownDraws:
    """Draw the random numbers of one batch.

    ``types`` (K,) int: the defects' types, each of which is equally likely; ``masked`` (K,) bool:
    only these are pasted; ``centres`` (K, 2): of their masks, in 0..1.
    """
    defect = _balanced(rng, batch, types)
    turn = _degrees(rng, batch, freedom)
    places = rng.uniform(0, 1, (batch, CANDIDATES, 2))
    if freedom.placed:
        places = centres[defect][:, None] + (2 * places - 1) * _PLACED
    low, high = np.log(config.scale)
    spread = 0.25 if freedom.placed else 1.0
    return KnownDraws(
        shown=rng.random(batch) < config.share,
        pasted=(rng.random(batch) < config.pasted) & masked[defect],
        defect=defect,
        degrees=turn,
        scale=np.exp(spread * rng.uniform(low, high, batch)).astype(np.float32),
        flipped=(rng.random((batch, 2)) < 0.5) & (not freedom.placed),
        places=places.clip(0, 1).astype(np.float32),
        opacity=rng.uniform(*config.opacity, batch).astype(np.float32),
        gain=(1 + config.brightness * rng.uniform(-1, 1, batch)).astype(np.float32),
        offset=(config.brightness * rng.uniform(-1, 1, batch)).astype(np.float32),
    )


def _balanced(rng: np.random.Generator, batch: int, types: np.ndarray) -> np.ndarray:
    """Draw rows (B,): first the type, then one of its defects."""
    kinds = np.unique(types)
    chosen, share = kinds[rng.integers(0, len(kinds), batch)], rng.random(batch)
    rows = [np.flatnonzero(types == kind) for kind in chosen]
    return np.array([own[int(part * len(own))] for own, part in zip(rows, share, strict=True)])


def _degrees(rng: np.random.Generator, batch: int, freedom: Freedom) -> np.ndarray:
    most = 180.0 if freedom.turned else _PLACED_DEGREES if freedom.placed else _FREE_DEGREES
    return rng.uniform(-most, most, batch).astype(np.float32)
