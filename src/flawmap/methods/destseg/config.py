"""DeSTSeg's configuration; the difference between its presets is the diff of two constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from flawmap.backbones.base import Backbone
from flawmap.methods.config import ALL_LEVELS, Level, MethodConfig, present_levels
from flawmap.methods.normality.config import MemoryConfig
from flawmap.methods.optimisation import PhaseConfig, phase_steps
from flawmap.synthesis.anomalies import AnomalyConfig


class DestsegConfig(MethodConfig):
    """Options of DeSTSeg; the defaults are the paper's."""

    paper_rotations: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("capsule", "metal_nut", "pill", "toothbrush", "transistor"), "none"),
        **dict.fromkeys(("wood", "zipper", "cable"), "slight"),
        **dict.fromkeys(
            ("bottle", "grid", "hazelnut", "leather", "tile", "carpet", "screw"), "full"
        ),
    }

    student_width: float = Field(
        1.0, gt=0, le=1, description="factor on the student's inner channels"
    )
    encoder: Literal["own", "teacher"] = Field(
        "own", description="the student's encoder: its own, or the frozen backbone's features"
    )
    decoder: bool = Field(
        True, description="false: a plain student, whose encoder's levels are its features"
    )
    denoising: bool = Field(
        True, description="false: the student learns from the clean image, as in STPM"
    )
    head: Literal["paper", "pyramid", "none"] = Field(
        "paper", description="segmentation head; none: the map is the product of cosine distances"
    )
    head_input: Literal["products", "distances", "features"] = Field(
        "products", description="how features of backbone and student are compared for the head"
    )
    levels: tuple[Level, ...] = Field(
        ALL_LEVELS,
        min_length=1,
        description="without a head: levels whose distances are multiplied, 1 the finest; by "
        "default the first three",
    )
    head_widths: tuple[int, ...] = Field(
        (256,),
        min_length=1,
        description="the head's channels, finest level first; further levels repeat the last. The "
        "paper's head has the first everywhere",
    )
    head_doublings: int = Field(
        0,
        ge=0,
        le=2,
        description="pyramid head: how often it doubles the finest level's size, each time with a "
        "stage of half as many channels; at most to the image's size",
    )
    cosine_reduction: Literal["sum", "mean"] = Field(
        "sum", description="reduction of the cosine loss over the batch"
    )
    hardness: float = Field(
        0.0,
        ge=0,
        description="gamma of hard-example weighting: a position weighs its distance to this "
        "power in the cosine loss",
    )
    focal_gamma: float = 4.0
    l1_weight: float = 1.0
    distance_power: float = Field(
        0.0,
        ge=0,
        description="with a head: its probability is multiplied by the product of the levels' "
        "distances to this power",
    )
    score_power: float = Field(
        0.0,
        ge=0,
        description="with a head: the image score is multiplied by the mean of the highest "
        "distance products to this power",
    )
    levelling: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="with a head: largest offset that is subtracted from the map for what most "
        "of the image has, and half of it for the surroundings of a place",
    )
    anomalies: AnomalyConfig = AnomalyConfig()
    student_phase: PhaseConfig = PhaseConfig(optimiser="sgd", learning_rates=(0.4,), share=0.2)
    head_phase: PhaseConfig = PhaseConfig(optimiser="sgd", learning_rates=(0.1, 0.01), share=0.8)

    @model_validator(mode="after")
    def _fits(self) -> DestsegConfig:
        if not self.decoder and (self.encoder != "own" or self.student_width != 1):
            raise ValueError('without a decoder the encoder is "own" and the student_width 1')
        if self.head_doublings and self.head != "pyramid":
            raise ValueError('only the pyramid head doubles its size: set head to "pyramid"')
        if self.head != "none" and self.levels != ALL_LEVELS:
            raise ValueError('levels are chosen without a head only: set head to "none"')
        return self

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise UsageError if the backbone lacks a level that is asked for."""
        present_levels(self.levels, len(backbone.channels))

    @property
    def learns_defects(self) -> bool:
        """Whether there is a head, which learns from known defects."""
        return self.head != "none"

    def steps_for(self, rotation: str, images: int) -> int:
        """Return the steps; without a head only the student's, as many as with a head."""
        both = super().steps_for(rotation, images)
        if self.head != "none":
            return both
        return phase_steps([self.student_phase, self.head_phase], both)[0]


PAPER = DestsegConfig()
FAST = DestsegConfig(
    preset="fast",
    follows_shape=True,
    student_width=0.5,
    encoder="teacher",
    head="pyramid",
    head_widths=(16, 32, 48),
    focal_gamma=2.0,
    distance_power=0.2,
    score_power=0.5,
    levelling=0.2,
    guidance=0.003,
    cosine_reduction="mean",
    hardness=1.0,
    batch_size=4,
    steps=1200,
    steps_when_turned=3100,
    rotation_fill="edge",
    precision="auto",
    anomalies=AnomalyConfig(foreground_share=0.5),
    memory=MemoryConfig(),
    student_phase=PhaseConfig(
        optimiser="muon", learning_rates=(0.05,), schedule="one-cycle", share=0.7
    ),
    head_phase=PhaseConfig(
        optimiser="muon", learning_rates=(0.03,), schedule="one-cycle", share=0.3
    ),
)
# For a GPU: what made ``fast`` good, without what made it small. Its accuracy is not measured yet.
BEST = FAST.model_copy(
    update={
        "preset": "best",
        "student_width": 1.0,
        "head_widths": (48, 96, 144),
        "head_doublings": 1,
        "batch_size": 16,
        "steps": 5000,
        "steps_when_turned": 8000,
    }
)
PRESETS = {"paper": PAPER, "fast": FAST, "best": BEST}
