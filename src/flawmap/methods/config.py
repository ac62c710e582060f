"""Base configuration of all methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from flawmap.methods.normality.config import MemoryConfig
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.types import PrecisionChoice, RotationChoice, Size


class MethodConfig(BaseModel):
    """Options common to all methods; each method adds its own, with its paper's defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: ClassVar[int] = 32
    """Height and width are multiples of this many pixels; a method may require more."""

    paper_rotations: ClassVar[Mapping[str, str]] = {}
    """How the paper rotates the images of a category, if it decides by category."""

    preset: str = "paper"
    size: Size = Field((256, 256), description="working height and width in pixels")
    follows_shape: bool = Field(
        False,
        description="where no size is asked for, the longer side grows with squashed images' shape",
    )
    batch_size: int = Field(32, ge=2)
    steps: int = Field(5000, ge=2, description="all phases together")
    steps_when_turned: int = Field(
        5000, ge=2, description="steps where good images are turned: there is more to learn"
    )
    epochs: int | None = Field(
        None, ge=1, description="passes over the good images, in place of both numbers of steps"
    )
    rotation: RotationChoice = Field(
        "auto", description="how good images are turned where --rotate leaves it open"
    )
    rotation_fill: Literal["grey", "black", "edge"] = Field(
        "grey", description="what a turned image shows outside the photograph"
    )
    precision: PrecisionChoice = Field(
        "float32",
        description="of convolutions in training; auto: bf16 where the processor multiplies it, "
        "else float32",
    )
    anomalies: AnomalyConfig | None = Field(
        None, description="synthetic ones to learn from; None where the method does without"
    )
    smoothing: float = Field(
        0.0, ge=0, description="Gaussian blur of the map before it is enlarged, deviation in its "
        "cells",
    )  # fmt: skip
    guidance: float = Field(
        0.0,
        ge=0,
        description="above 0 the map is enlarged along the image's edges (a guided filter); it is "
        "the variance of colours in 0..1 below which a window has no edge. Not in the papers",
    )
    top_pixels: int = Field(100, ge=1, description="image score: mean of this many highest values")
    memory: MemoryConfig | None = Field(
        None, description="of what good images look like, joined with the map. Not in the papers"
    )

    @field_validator("size")
    @classmethod
    def _whole_cells(cls, size: Size) -> Size:
        check_size(size, cls.cell)
        return size

    def steps_for(self, rotation: str, images: int) -> int:
        """Return the steps of a run on this many good images, rotated according to ``rotation``."""
        if self.epochs is not None:
            return max(2, round(self.epochs * images / self.batch_size))
        return self.steps_when_turned if rotation == "full" else self.steps


def check_size(size: Size, cell: int) -> None:
    """Raise ValueError, naming the nearest size, if a side is not a multiple of ``cell``."""
    if all(side >= cell and side % cell == 0 for side in size):
        return
    height, width = (max(1, round(side / cell)) * cell for side in size)
    raise ValueError(
        f"height and width must be multiples of {cell} pixels here, such as {height}x{width}"
    )
