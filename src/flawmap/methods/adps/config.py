"""ADPS's configuration: what the paper states, and a field for each point it leaves open."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from flawmap.backbones.base import Backbone
from flawmap.errors import UsageError
from flawmap.methods.config import MethodConfig
from flawmap.methods.optimisation import PhaseConfig
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.types import RotationChoice


class AdpsConfig(MethodConfig):
    """Options of ADPS; the defaults are the paper's where it states them, else our choice.

    "Open" below marks what the paper leaves open and the value chosen. The teacher is open too:
    the ablation names a wide ResNet-50, whose stages 1-3 match the stated parameter count
    (``--teacher wide_resnet50_2``); ResNet-18 is the light variant.
    """

    epochs: int | None = Field(300, ge=1, description="passes over the good images")
    patches: Literal[1, 2, 4, 8, 16] = Field(
        8,
        description="number of patches per side that the student reads the image in; 1: the whole "
        "image, as the backbone does",
    )
    stage1_patches: Literal[1, 2, 4] = Field(
        1,
        description="number of patches per side that the first level of each patch is cut into "
        "again. Open (text and figure disagree): not cut; the paper's table tries it "
        "with patches 4",
    )
    levels: Literal[3, 4] = Field(
        3,
        description="Open: 3 is the backbone's levels (a ResNet's stages 1-3); 4 adds its stem, at "
        "half the image's size, as the finest",
    )
    gate: Literal["weight", "difference", "concatenation", "teacher", "student", "none"] = Field(
        "weight",
        description="input of the Post-Segmentation Module: the Weight Mask Block's (1-cos)·T; "
        "|T - S|; both, merged by a 3x3 convolution; or one network alone (the "
        "paper's ablations). none: there is no module",
    )
    detach_gate: bool = Field(
        False,
        description="stop the focal loss's gradient at the gate. Open: it flows into the student",
    )
    similarity: Literal["cosine", "squared"] = Field(
        "cosine",
        description="similarity of features in loss and gate: cosine, or squared distance "
        "averaged over channels",
    )
    segmentation: bool = Field(
        True,
        description="false: no Post-Segmentation Module; the map is the mean over levels of the "
        "gate's channels, or of the distances if the gate is none",
    )
    widths: tuple[int, ...] = Field(
        (256, 128, 64, 32),
        min_length=1,
        max_length=4,
        description="Open: channels of the up-blocks, coarsest first; fewer of them end at a "
        "coarser map. Where the levels need more, the last is repeated; those that would exceed "
        "the image's size are left out",
    )
    distillation_reduction: Literal["mean", "sum"] = Field(
        "mean", description="Open: reduction over batch and positions; levels are summed"
    )
    distillation_mask: Literal["bilinear", "max"] = Field(
        "bilinear",
        description="Open: how the mask is resized to a level: bilinear and >= 0.5, or anomalous "
        "if any of its pixels is",
    )
    segmentation_weight: float = Field(
        1.0, ge=0, description="weight of the focal loss, the paper's lambda"
    )
    focal_gamma: float = Field(2.0, ge=0, description="the paper's tau. Open: 2, as DRAEM")
    normalisation: Literal["imagenet", "none"] = Field(
        "imagenet",
        description="Open: of images, for both networks: by the backbone's mean and deviation, "
        "or none",
    )
    levelling: float = Field(
        0.0,
        ge=0,
        description="above 0: lower the logits of an image by the excess of their median over "
        "that of good images, at most by this. Not in the paper",
    )
    score_sigma: float = Field(
        4.0,
        ge=0,
        description="the image score is the maximum of the map after a Gaussian blur by this "
        "many pixels. Open: 4, as in RD4AD",
    )
    top_pixels: int = Field(
        1,
        ge=1,
        description="the image score is the mean of this many highest values of the blurred map",
    )
    rotation: RotationChoice = Field(
        "draem",
        description="random rotation of good images unless --rotate sets it. Open: as in DRAEM, "
        "by up to 90 degrees either way, for three images in ten",
    )
    rotation_fill: Literal["grey", "black", "edge"] = Field(
        "black", description="what fills a rotated image outside the original. Open: as in DRAEM"
    )
    anomalies: AnomalyConfig = Field(
        AnomalyConfig(probability=0.5, texture_operations=3),
        description='Open, "following DRAEM": half of the samples stay clean, textures get three '
        "operations",
    )
    phase: PhaseConfig = Field(
        PhaseConfig(
            optimiser="adamw",
            learning_rates=(1e-4, 1e-4),
            weight_decay=0.0,
            schedule="drops",
            share=1.0,
        ),
        description="learning rates of student and Post-Segmentation Module",
    )

    @property
    def learns_defects(self) -> bool:
        """Whether there is a segmentation network, which learns from known defects."""
        return self.segmentation

    @model_validator(mode="after")
    def _goes_together(self) -> AdpsConfig:
        if self.segmentation and self.gate == "none":
            raise ValueError('the Post-Segmentation Module reads a gate: choose one, not "none"')
        if not self.segmentation and self.gate == "concatenation":
            raise ValueError("nothing would train the merged gate without segmentation")
        return self

    def size_multiple(self, backbone: Backbone) -> int:
        """Return a multiple that gives every patch, cut again or not, whole positions."""
        patches = self.patches * self.stage1_patches
        return math.lcm(backbone.size_multiple, math.lcm(*backbone.strides) * patches)

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise UsageError if the backbone has no stem to add."""
        if self.levels == 4 and not backbone.stem_channels:
            raise UsageError("levels 4: this backbone does not offer its stem; set levels to 3.")


PAPER = AdpsConfig()
FAST = AdpsConfig(
    preset="fast",
    follows_shape=True,
    epochs=None,
    batch_size=4,
    steps=700,
    steps_when_turned=2100,
    rotation="auto",
    rotation_fill="edge",
    precision="auto",
    widths=(64, 32, 16),
    guidance=0.003,
    levelling=1.0,
    anomalies=AnomalyConfig(probability=0.5, foreground_share=0.5, line_share=0.75),
    phase=PhaseConfig(
        optimiser="muon", learning_rates=(0.03, 0.03), schedule="one-cycle", share=1.0
    ),
)
PRESETS = {"paper": PAPER, "fast": FAST}
