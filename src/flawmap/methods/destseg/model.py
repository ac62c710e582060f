"""DeSTSeg (Zhang et al., CVPR 2023, arXiv 2211.11317): teacher, denoising student, segmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.methods.blocks import upsample
from flawmap.methods.destseg.config import DestsegConfig
from flawmap.methods.destseg.head import PaperHead, PyramidHead
from flawmap.methods.destseg.losses import normalise
from flawmap.methods.destseg.student import GuidedStudent, Student
from flawmap.teachers.resnet import Features, ResNetTeacher

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Destseg(nn.Module):
    """The three networks. Images go in as floats in 0..1, (B, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, teacher: ResNetTeacher, config: DestsegConfig) -> None:
        super().__init__()
        self.config = config
        self.teacher = teacher
        build_student = Student if config.encoder == "own" else GuidedStudent
        self.student = build_student(config.student_width, teacher.widths)
        self.head = _build_head(teacher.widths, config)
        self.smooth = Smoothing(config.smoothing) if config.smoothing else nn.Identity()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def normalise_image(self, image: Tensor) -> Tensor:
        """0..1 -> ImageNet's mean 0 and deviation 1, as teacher and student both take it."""
        return (image - self.mean) / self.std

    def segment(self, teacher: Features, student: Features) -> Tensor:
        """Logits (B, 1, H/4, W/4) from both networks' features."""
        t1, t2, t3 = (normalise(t) for t in teacher)
        s1, s2, s3 = (normalise(s) for s in student)
        logits: Tensor = self.head((-(t1 * s1), -(t2 * s2), -(t3 * s3)))
        return logits

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Anomaly map (B, H, W) in 0..1 and image score (B,): mean of the highest map values."""
        x = self.normalise_image(image)
        features = self.teacher(x)
        probability = self.segment(features, self.student(x, features)).sigmoid()
        height, width = image.shape[-2:]
        anomaly_map = upsample(self.smooth(probability), (height, width))[:, 0]
        count = min(self.config.top_pixels, height * width)
        return anomaly_map, anomaly_map.flatten(1).topk(count, sorted=False).values.mean(1)


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


def _build_head(inputs: tuple[int, int, int], config: DestsegConfig) -> nn.Module:
    if config.head == "paper":
        return PaperHead(inputs, *config.head_widths)
    w1, w2, w3 = config.head_widths
    return PyramidHead(inputs, (w1, w2, w3))
