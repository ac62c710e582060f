"""Family of each synthetic anomaly, and the random numbers it is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

NUMBERS = 32  # uniform numbers per sample; a family uses at most 25
LINES = 33  # lines of the gradient lattice: up to 32 cells a side


class FamilyWeights(BaseModel):
    """How often each family is drawn, in proportion to the others' weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    texture: float = Field(1.0, ge=0, description="foreign textures in blobs or thin curves")
    faint: float = Field(
        0.0,
        ge=0,
        description="brightness, contrast, colour or sharpness changed in a blob, down to what "
        "is barely visible",
    )
    moved: float = Field(
        0.0,
        ge=0,
        description="a piece of this or another good image, or the whole part, that is moved, "
        "copied, rotated, mirrored or bent",
    )
    removed: float = Field(
        0.0,
        ge=0,
        description="a piece of the part, or the whole part, replaced by its surroundings",
    )
    area: float = Field(
        0.0,
        ge=0,
        description="stains, colour casts and thin layers on 10 to 40 % of the image, or on a "
        "tenth to a third of the part",
    )
    scratch: float = Field(
        0.0, ge=0, description="long strokes, 1 to 4 pixels wide: straight, curved or jagged"
    )
    eaten: float = Field(
        0.0, ge=0, description="pieces missing from the part's edge, and growths on it"
    )

    @model_validator(mode="after")
    def _some(self) -> FamilyWeights:
        if not sum(self.values()) > 0:
            raise ValueError("give at least one family a weight above 0")
        return self

    def values(self) -> list[float]:
        """The weights, in the order of the families' numbers."""
        return [getattr(self, name) for name in FAMILY_NAMES]


FAMILY_NAMES = tuple(FamilyWeights.model_fields)


@dataclass(frozen=True)
class FamilyDraws:
    """Random draws of one batch, all on the host."""

    family: np.ndarray  # (B,) int64, index into FAMILY_NAMES
    numbers: np.ndarray  # (B, NUMBERS) float32 in 0..1, interpreted by the family
    lattice: np.ndarray  # (B, LINES, LINES) float32 angles: noise fields and places

    def without(self, spared: np.ndarray) -> FamilyDraws:
        """Return a copy in which ``spared`` samples, (B,) bool, have no family: -1."""
        return replace(self, family=np.where(spared, -1, self.family))


def draw_families(
    rng: np.random.Generator, batch: int, weights: FamilyWeights
) -> FamilyDraws | None:
    """Draw a family for each of ``batch`` samples; None, without a draw, if all are textures."""
    values = np.array(weights.values())
    if not values[1:].any():
        return None
    limits = np.cumsum(values) / values.sum()
    return FamilyDraws(
        family=np.searchsorted(limits[:-1], rng.random(batch), side="right"),
        numbers=rng.random((batch, NUMBERS), np.float32),
        lattice=rng.uniform(0, 2 * np.pi, (batch, LINES, LINES)).astype(np.float32),
    )
