"""DeSTSeg (Zhang et al., CVPR 2023, arXiv 2211.11317): teacher, denoising student, segmentation."""

from __future__ import annotations

import math

from torch import Tensor, nn

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features, ImageNorm
from flawmap.methods.config import present_levels
from flawmap.methods.destseg.background import BackgroundOffset
from flawmap.methods.destseg.config import DestsegConfig
from flawmap.methods.destseg.head import PaperHead, PyramidHead, compare, compared_widths
from flawmap.methods.destseg.student import GuidedStudent, PlainStudent, Student
from flawmap.methods.modules.blocks import upsample
from flawmap.methods.modules.features import distance_maps
from flawmap.methods.modules.readout import topk_mean
from flawmap.methods.modules.upsample import Upsample
from flawmap.methods.normality.memory import build_memory

_LEAST = 1e-3  # distances below differ by rounding only, which a power below 1 would amplify


class Destseg(nn.Module):
    """The three networks. Input images are floats in 0..1, (B, 3, H, W)."""

    def __init__(self, teacher: Backbone, config: DestsegConfig) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        self.student = _build_student(teacher, config)
        self.head = _build_head(teacher, config)
        self.level = BackgroundOffset(config.levelling) if config.levelling else nn.Identity()
        self.levels = present_levels(config.levels, len(teacher.channels))
        self.memory = build_memory(config.memory)
        self.upsample = Upsample(config.smoothing, config.guidance)
        self.normalise_image = ImageNorm(teacher.mean, teacher.std)  # for both teacher and student

    def segment(self, teacher: Features, student: Features) -> Tensor:
        """Compute logits (B, 1, h, w), float32, from both networks' features; h >= H_1."""
        logits: Tensor = self.head(compare(teacher, student, self.config.head_input)).float()
        return logits

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map an image (B, 3, H, W) in 0..1 to anomaly map, score, distances and unfamiliarity.

        Anomaly map (B, H, W) in 0..1; image score (B,) in 0..1; cosine distances
        (B, levels, H_1, W_1); and with a filled memory the unfamiliarity (B, 1, h, w) of places.
        The map is the head's probability, lowered by ``distance_power`` where teacher and student
        agree, and levelled; or, without a head, "DeST": the product of the distances of the
        configured levels. A memory raises it at unfamiliar places.
        The score is the mean of the highest map values, lowered by ``score_power`` if the
        highest distances are low, and by the memory if everything is familiar.
        """
        x = self.normalise_image(image)
        teacher = self.teacher(x)
        student = self.student(x, teacher)
        distances = distance_maps(teacher, student)
        unfamiliar = self.memory.unfamiliar(teacher)
        if self.config.head == "none":
            chosen = [level - 1 for level in self.levels]
            anomaly = distances[:, chosen].prod(1, keepdim=True)
            read_out = self._read_out(anomaly, None, unfamiliar, image)
            return *read_out, distances, *self.memory.outputs(unfamiliar)
        anomaly = self.segment(teacher, student).sigmoid()
        product = distances.clamp(min=_LEAST).prod(1, keepdim=True)
        if self.config.distance_power:
            anomaly = anomaly * _at_size_of(anomaly, product).pow(self.config.distance_power)
        read_out = self._read_out(self.level(anomaly), product, unfamiliar, image)
        return *read_out, distances, *self.memory.outputs(unfamiliar)

    def _read_out(
        self, anomaly: Tensor, product: Tensor | None, unfamiliar: Tensor | None, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return map (B, H, W) at the image's size and score (B,), both fused with the memory.

        ``product`` (B, 1, H_1, W_1) of the levels' distances; its highest values weight the score.
        """
        anomaly_map: Tensor = self.upsample(self.memory.join(anomaly, unfamiliar), image)
        score = topk_mean(anomaly_map, self.config.top_pixels)
        if product is not None and self.config.score_power:
            cells = math.ceil(self.config.top_pixels / self.teacher.strides[0] ** 2)
            score = score * topk_mean(product, cells).pow(self.config.score_power)
        return anomaly_map, self.memory.weigh(score, unfamiliar)


def _build_student(teacher: Backbone, config: DestsegConfig) -> nn.Module:
    if not config.decoder:
        return PlainStudent(teacher)
    build = Student if config.encoder == "own" else GuidedStudent
    return build(config.student_width, teacher)


def _at_size_of(other: Tensor, x: Tensor) -> Tensor:
    size = (other.shape[-2], other.shape[-1])
    return x if (x.shape[-2], x.shape[-1]) == size else upsample(x, size)


def _build_head(teacher: Backbone, config: DestsegConfig) -> nn.Module:
    if config.head == "none":
        return nn.Identity()
    inputs = compared_widths(teacher.channels, config.head_input)
    own = config.head_widths
    if config.head == "paper":
        return PaperHead(inputs, own[0])
    widths = [*own, *own[-1:] * len(inputs)][: len(inputs)]
    to_image_size = teacher.strides[0].bit_length() - 1
    return PyramidHead(inputs, widths, min(config.head_doublings, to_image_size))
