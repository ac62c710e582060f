"""Base configuration of all methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from flawmap.backbones.base import Backbone
from flawmap.errors import UsageError
from flawmap.methods.normality.config import MemoryConfig
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.synthesis.known_defects.draws import KnownConfig
from flawmap.types import PrecisionChoice, RotationChoice, Size

ALL_LEVELS = (1, 2, 3)
Level = Annotated[int, Field(ge=1)]


class MethodConfig(BaseModel):
    """Options common to all methods; each method adds its own, with its paper's defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper_rotations: ClassVar[Mapping[str, str]] = {}
    """How the paper rotates the images of a category, if it decides by category."""

    preset: str = "paper"
    size: Size = Field((256, 256), description="working height and width in pixels")
    follows_shape: bool = Field(
        False,
        description="lengthen the longer side to the shape of squashed images if no size is given",
    )
    batch_size: int = Field(32, ge=2)
    steps: int = Field(5000, ge=2, description="training steps of all phases together")
    steps_when_turned: int = Field(
        5000,
        ge=2,
        description="training steps if good images are fully rotated, which takes longer to learn",
    )
    epochs: int | None = Field(
        None, ge=1, description="passes over the good images; replaces both numbers of steps"
    )
    rotation: RotationChoice = Field(
        "auto", description="random rotation of good images unless --rotate sets it"
    )
    rotation_fill: Literal["grey", "black", "edge"] = Field(
        "grey", description="what fills a rotated image outside the original"
    )
    precision: PrecisionChoice = Field(
        "float32",
        description="precision of convolutions in training; auto: bf16 if the processor "
        "multiplies it natively, else float32",
    )
    anomalies: AnomalyConfig | None = Field(
        None, description="synthetic anomalies to train on; None if the method uses none"
    )
    known: KnownConfig = Field(
        KnownConfig(), description="how known defects join the synthetic ones, if some are given"
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        description="Gaussian blur of the map before upsampling: standard deviation in the map's "
        "cells",
    )
    guidance: float = Field(
        0.0,
        ge=0,
        description="above 0, the map is upsampled along the image's edges by a guided filter "
        "with this epsilon, the variance of colours in 0..1 below which a "
        "neighbourhood has no edge. Not in the papers",
    )
    top_pixels: int = Field(
        100, ge=1, description="the image score is the mean of this many highest map values"
    )
    memory: MemoryConfig | None = Field(
        None, description="normality memory, fused with the map; None: no memory. Not in the papers"
    )

    @property
    def learns_defects(self) -> bool:
        """Whether the method can learn from known defects: it has a head that draws masks."""
        return False

    def size_multiple(self, backbone: Backbone) -> int:
        """Return the number of pixels that height and width must be multiples of."""
        return backbone.size_multiple

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise UsageError if the options do not suit the backbone's levels."""

    def steps_for(self, rotation: str, images: int) -> int:
        """Return the steps of a run on this many good images, rotated according to ``rotation``."""
        if self.epochs is not None:
            return max(2, round(self.epochs * images / self.batch_size))
        return self.steps_when_turned if rotation == "full" else self.steps


def check_size(size: Size, multiple: int) -> None:
    """Raise ValueError, naming the nearest size, if a side is not a multiple of ``multiple``."""
    if all(side > 0 and side % multiple == 0 for side in size):
        return
    height, width = nearest_size(size, multiple)
    raise ValueError(
        f"height and width must be multiples of {multiple} pixels here, such as {height}x{width}"
    )


def nearest_size(size: Size, multiple: int) -> Size:
    """Return the size nearest to ``size`` whose sides are positive multiples of ``multiple``."""
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width


def present_levels(levels: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return the levels, 1 the finest, that are read of a backbone with ``count`` of them.

    The default, ``ALL_LEVELS``, stands for as many as there are. Raises UsageError if another
    choice names a level that the backbone does not have.
    """
    if levels != ALL_LEVELS and max(levels) > count:
        raise UsageError(f"levels: this backbone has levels 1 to {count}, not {max(levels)}.")
    return tuple(level for level in levels if level <= count)
