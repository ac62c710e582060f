"""Configuration of known defects in training, and the random numbers of a batch of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

CANDIDATES = 6  # places drawn for a pasted defect; the first that lies on the part is taken
_PLACED = 0.04  # of the image's side: how far a defect moves where parts lie alike
_PLACED_DEGREES = 5.0
_PLACED_SCALE = 0.25  # of the configured range, as a logarithm
_FREE = 15.0  # degrees
_ANY = 180.0


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
    anywhere: float = Field(
        0.5,
        ge=0,
        le=1,
        description="where parts lie alike: fraction of the pasted defects that lie anywhere on "
        "the part, the others near their own place",
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
    piece: np.ndarray  # (B,) int64, row of their pieces; -1 without a mask
    degrees: np.ndarray  # (B,) float32, of a pasted piece
    scale: np.ndarray  # (B,) float32
    flipped: np.ndarray  # (B, 2) bool, down and across
    places: np.ndarray  # (B, CANDIDATES, 2) float32: centre, down and across, in 0..1
    opacity: np.ndarray  # (B,) float32
    turns: np.ndarray  # (B,) float32, degrees of a defective image itself
    gain: np.ndarray  # (B,) float32
    offset: np.ndarray  # (B,) float32

    def rows(self, rows: np.ndarray) -> KnownDraws:
        """Select samples by index."""
        return KnownDraws(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Freedom:
    """How good images vary, which tells where defects are pasted and how they are turned.

    ``placed``: parts lie alike, so that a defect may belong to its place: some stay near it, others
    lie anywhere on the part, at any angle. ``turned``: parts lie at any angle.
    """

    placed: bool
    turned: bool


def draw_known(
    rng: np.random.Generator,
    batch: int,
    types: np.ndarray,
    pieces: np.ndarray,
    centres: np.ndarray,
    freedom: Freedom,
    config: KnownConfig,
) -> KnownDraws:
    """Draw the random numbers of one batch.

    ``types`` (K,) int: the defects' types, each of which is equally likely. ``pieces`` (P,) int:
    the defect that each piece is of; a defect without pieces is not pasted. ``centres`` (P, 2): of
    the pieces, in 0..1.
    """
    defect = _balanced(rng, batch, types)
    piece = _pieces(rng, defect, pieces)
    own_place = (rng.random(batch) >= config.anywhere) & freedom.placed
    places = rng.uniform(0, 1, (batch, CANDIDATES, 2))
    if len(pieces):
        near = centres[piece][:, None] + (2 * places - 1) * _PLACED
        places = np.where(own_place[:, None, None], near, places)
    most = np.where(own_place, _PLACED_DEGREES, _ANY if freedom.turned or freedom.placed else _FREE)
    low, high = np.log(config.scale)
    spread = np.where(own_place, _PLACED_SCALE, 1.0)
    return KnownDraws(
        shown=rng.random(batch) < config.share,
        pasted=(rng.random(batch) < config.pasted) & (piece >= 0),
        defect=defect,
        piece=piece,
        degrees=(most * rng.uniform(-1, 1, batch)).astype(np.float32),
        scale=np.exp(spread * rng.uniform(low, high, batch)).astype(np.float32),
        flipped=(rng.random((batch, 2)) < 0.5) & ~own_place[:, None],
        places=places.clip(0, 1).astype(np.float32),
        opacity=rng.uniform(*config.opacity, batch).astype(np.float32),
        turns=_turns(rng, batch, freedom),
        gain=(1 + config.brightness * rng.uniform(-1, 1, batch)).astype(np.float32),
        offset=(config.brightness * rng.uniform(-1, 1, batch)).astype(np.float32),
    )


def _balanced(rng: np.random.Generator, batch: int, types: np.ndarray) -> np.ndarray:
    """Draw rows (B,): first the type, then one of its defects."""
    kinds = np.unique(types)
    chosen, share = kinds[rng.integers(0, len(kinds), batch)], rng.random(batch)
    rows = [np.flatnonzero(types == kind) for kind in chosen]
    return np.array([own[int(part * len(own))] for own, part in zip(rows, share, strict=True)])


def _pieces(rng: np.random.Generator, defect: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """Draw a piece of each defect (B,); -1 where it has none."""
    share = rng.random(len(defect))
    rows = [np.flatnonzero(pieces == one) for one in defect]
    return np.array(
        [
            own[int(part * len(own))] if len(own) else -1
            for own, part in zip(rows, share, strict=True)
        ]
    )


def _turns(rng: np.random.Generator, batch: int, freedom: Freedom) -> np.ndarray:
    """Draw the angles of defective images themselves: as their good ones lie."""
    most = _ANY if freedom.turned else _PLACED_DEGREES
    return rng.uniform(-most, most, batch).astype(np.float32)
