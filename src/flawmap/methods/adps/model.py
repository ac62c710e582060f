"""ADPS (Xing et al., TNNLS 2024, arXiv 2210.10495): asymmetric distillation, post-segmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features, ImageNorm
from flawmap.methods.adps.config import AdpsConfig
from flawmap.methods.adps.median_offset import MedianOffset
from flawmap.methods.adps.patches import join, split
from flawmap.methods.adps.segmentation import Gate, PostSegmentation, distance
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.readout import smoothing, topk_mean
from flawmap.methods.modules.upsample import Upsample
from flawmap.methods.normality.memory import build_memory


class PatchStudent(nn.Module):
    """The backbone's trainable counterpart, whose receptive field ends at the patch border."""

    def __init__(self, teacher: Backbone, config: AdpsConfig) -> None:
        super().__init__()
        self.encoder = teacher.student(zero_last_norm=False)
        self.patches = config.patches
        self.stage1_patches = config.stage1_patches
        self.with_stem = config.levels == 4

    def forward(self, x: Tensor) -> Features:
        """Map a normalised image (B, 3, H, W) to features (B, C_k, H_k, W_k), patches rejoined."""
        k, again = self.patches, self.stage1_patches
        stem = self.encoder.stem(split(x, k))
        first = self.encoder.first_level(stem)
        later = [join(f, again) for f in self.encoder.later_levels(split(first, again))]
        levels = [stem, first, *later] if self.with_stem else [first, *later]
        return tuple(join(level, k) for level in levels)


class Adps(nn.Module):
    """Teacher on the whole image, student on its patches, segmentation of their differences."""

    def __init__(self, teacher: Backbone, config: AdpsConfig) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        self.student = PatchStudent(teacher, config)
        inputs, strides = teacher.channels, teacher.strides
        if config.levels == 4:
            inputs, strides = (teacher.stem_channels, *inputs), (teacher.stem_stride, *strides)
        self.gate = Gate(config.gate, config.similarity, inputs)
        self.head = (
            PostSegmentation(inputs, config.widths, strides)
            if config.segmentation
            else nn.Identity()
        )
        levels = config.segmentation and config.levelling > 0
        self.level = MedianOffset(config.levelling) if levels else nn.Identity()
        self.memory = build_memory(config.memory)
        self.upsample = Upsample(config.smoothing, config.guidance)
        self.blur = smoothing(config.score_sigma)
        self.normalise_image = (
            ImageNorm(teacher.mean, teacher.std)
            if config.normalisation == "imagenet"
            else nn.Identity()
        )

    def teach(self, x: Tensor) -> Features:
        """Return the teacher's levels (B, C_k, H_k, W_k) of the normalised image (B, 3, H, W)."""
        levels: Features = (self.teacher.with_stem if self.config.levels == 4 else self.teacher)(x)
        return levels

    def distances(self, teacher: Features, student: Features) -> list[Tensor]:
        """Return the distances of every level, (B, H_k, W_k): see :func:`distance`."""
        pairs = zip(teacher, student, strict=True)
        return [distance(t, s, self.config.similarity) for t, s in pairs]

    def segment(self, teacher: Features, student: Features) -> Tensor:
        """Return the logit (B, 1, h, w) of the anomalous against the normal class, float32."""
        if self.config.detach_gate:
            student = tuple(level.detach() for level in student)
        both = self.head(self.gate(teacher, student)).float()
        logit: Tensor = both[:, 1:] - both[:, :1]
        return logit  # the softmax of two is the sigmoid of their difference

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B, 3, H, W) in 0..1 to anomaly map, score, distances and unfamiliarity.

        Anomaly map (B, H, W) in 0..1, image score (B,), distances (B, levels, H/s_1, W/s_1), and
        with a filled memory the unfamiliarity of places (B, 1, h, w).
        Cosine distances, and a map made of them, are at most 1; squared ones are unbounded.
        The map is the anomalous class's probability, levelled if configured, or without
        segmentation the gate's output; a memory raises it at unfamiliar places. The score is the
        highest value of the blurred map.
        """
        x = self.normalise_image(image)
        teacher, student = self.teach(x), self.student(x)
        stride = self.teacher.strides[0]
        finest = (image.shape[-2] // stride, image.shape[-1] // stride)
        levels = [upsample(d[:, None], finest) for d in self.distances(teacher, student)]
        highest_distance = 1.0 if self.config.similarity == "cosine" else None
        distances = torch.cat(levels, 1).clamp(min=0.0, max=highest_distance)
        if self.config.segmentation:
            anomaly = self.level(self.segment(teacher, student)).sigmoid()
        elif self.config.gate == "none":
            anomaly = distances.mean(1, keepdim=True)
        else:
            anomaly = self._mean_gate(teacher, student, finest)
        unfamiliar = self.memory.unfamiliar(teacher)
        anomaly_map = self.upsample(self.memory.join(anomaly, unfamiliar), image)
        score = topk_mean(self.blur(anomaly_map[:, None]), self.config.top_pixels)
        score = self.memory.weigh(score, unfamiliar)
        return anomaly_map, score, distances, *self.memory.outputs(unfamiliar)

    def _mean_gate(self, teacher: Features, student: Features, size: tuple[int, int]) -> Tensor:
        """Average the gated features over channels and levels, (B, 1, h, w)."""
        gated = self.gate(teacher, student)
        return torch.stack([upsample(g.mean(1, keepdim=True), size) for g in gated]).mean(0)
