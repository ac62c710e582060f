"""DeSTSeg (Zhang et al., CVPR 2023, arXiv 2211.11317): teacher, denoising student, segmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.methods.blocks import upsample
from flawmap.methods.destseg.config import DestsegConfig
from flawmap.methods.destseg.head import PaperHead, PyramidHead, compare, compared_widths
from flawmap.methods.destseg.student import GuidedStudent, PlainStudent, Student
from flawmap.teachers.resnet import Features, ResNetTeacher

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_CELL = 16  # pixels of the image in one of a map at (H/4, W/4)
_LEAST = 1e-3  # distances below it differ by rounding only, which a power below 1 would enlarge


class Destseg(nn.Module):
    """The three networks. Images go in as floats in 0..1, (B, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, teacher: ResNetTeacher, config: DestsegConfig) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        self.student = _build_student(teacher.widths, config)
        self.head = _build_head(teacher.widths, config)
        self.smooth = Smoothing(config.smoothing) if config.smoothing else nn.Identity()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def normalise_image(self, image: Tensor) -> Tensor:
        """0..1 -> ImageNet's mean 0 and deviation 1, as teacher and student both take it."""
        return (image - self.mean) / self.std

    def segment(self, teacher: Features, student: Features) -> Tensor:
        """Logits (B, 1, H/4, W/4) from both networks' features."""
        logits: Tensor = self.head(compare(teacher, student, self.config.head_input))
        return logits

    def distances(self, teacher: Features, student: Features) -> Tensor:
        """Cosine distances of the three levels (B, 3, H/4, W/4), 0..1."""
        levels = compare(teacher, student, "distances")
        size = (levels[0].shape[-2], levels[0].shape[-1])
        return torch.cat([upsample(level, size) for level in levels], 1).clamp(min=0.0, max=1.0)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Anomaly map (B, H, W) in 0..1; image score (B,) in 0..1; :meth:`distances`.

        The map is the head's probability, lowered by ``distance_power`` where teacher and student
        agree; or, without a head, "DeST": the product of the distances of the configured levels.
        The score is the mean of the highest map values, lowered by ``score_power`` where the
        highest distances are low.
        """
        x = self.normalise_image(image)
        teacher = self.teacher(x)
        student = self.student(x, teacher)
        distances = self.distances(teacher, student)
        if self.config.head == "none":
            chosen = [level - 1 for level in self.config.levels]
            anomaly = distances[:, chosen].prod(1, keepdim=True)
            return *self._read_out(anomaly, image), distances
        anomaly = self.segment(teacher, student).sigmoid()
        product = distances.clamp(min=_LEAST).prod(1, keepdim=True)
        if self.config.distance_power:
            anomaly = anomaly * product.pow(self.config.distance_power)
        anomaly_map, score = self._read_out(anomaly, image)
        if self.config.score_power:
            cells = math.ceil(self.config.top_pixels / _CELL)
            score = score * _highest(product, cells).pow(self.config.score_power)
        return anomaly_map, score, distances

    def _read_out(self, anomaly: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map at the image's size and the mean of its highest values."""
        height, width = image.shape[-2:]
        anomaly_map = upsample(self.smooth(anomaly), (height, width))[:, 0]
        return anomaly_map, _highest(anomaly_map, self.config.top_pixels)


def _highest(x: Tensor, count: int) -> Tensor:
    """Mean of the ``count`` highest values of each of a batch (B,)."""
    values = x.flatten(1)
    count = min(count, values.shape[1])
    return values.topk(count, sorted=False).values.mean(1)


class Smoothing(nn.Module):
    """Gaussian blur of a one-channel map, cut off at three deviations, edges repeated."""

    kernel: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.radius = math.ceil(3.0 * sigma)
        line = torch.arange(-self.radius, self.radius + 1) / sigma
        weights = torch.exp(-0.5 * line**2)
        plane = weights[:, None] * weights[None, :]
        self.register_buffer("kernel", (plane / plane.sum())[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, [self.radius] * 4, mode="replicate")
        return F.conv2d(padded, self.kernel.to(x.dtype))


def _build_student(outputs: tuple[int, int, int], config: DestsegConfig) -> nn.Module:
    if not config.decoder:
        return PlainStudent(outputs)
    build = Student if config.encoder == "own" else GuidedStudent
    return build(config.student_width, outputs)


def _build_head(widths: tuple[int, int, int], config: DestsegConfig) -> nn.Module:
    if config.head == "none":
        return nn.Identity()
    inputs = compared_widths(widths, config.head_input)
    if config.head == "paper":
        return PaperHead(inputs, *config.head_widths)
    w1, w2, w3 = config.head_widths
    return PyramidHead(inputs, (w1, w2, w3))
