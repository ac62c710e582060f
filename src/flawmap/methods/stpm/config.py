"""STPM's configuration and presets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from flawmap.backbones.base import Backbone
from flawmap.methods.config import ALL_LEVELS, Level, MethodConfig, present_levels
from flawmap.methods.optimisation import PhaseConfig


class StpmConfig(MethodConfig):
    """Options of STPM; the defaults are those of the paper and its official code.

    That code keeps the best epoch on a fifth of the good images; here that fifth sets the
    thresholds, and the last step's weights are kept.
    """

    epochs: int | None = Field(100, ge=1, description="passes over the good images")
    read_out: Literal["product", "sum"] = Field(
        "product", description="how the levels' distances are combined to one map"
    )
    levels: tuple[Level, ...] = Field(
        ALL_LEVELS,
        min_length=1,
        description="levels that the map is made of, 1 the finest; by default the first three",
    )
    anomalies: None = Field(None, description="STPM trains on good images only")
    top_pixels: int = Field(
        1, ge=1, description="the image score is the mean of this many highest map values"
    )
    student_phase: PhaseConfig = PhaseConfig(optimiser="sgd", learning_rates=(0.4,), share=1.0)

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise UsageError if the backbone lacks a level that is asked for."""
        present_levels(self.levels, len(backbone.channels))


PAPER = StpmConfig()
FAST = StpmConfig(
    preset="fast",
    follows_shape=True,
    epochs=None,
    batch_size=4,
    steps=1400,
    steps_when_turned=3700,
    rotation_fill="edge",
    precision="auto",
)
PRESETS = {"paper": PAPER, "fast": FAST}
