"""What the teacher remembers is what it would say again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flawmap.backbones.feature_cache import FeatureCache
from flawmap.backbones.resnet import ResNetTeacher, basic
from methods.tiny import tiny_teacher

PER_IMAGE = 4 * (8 * 16 * 16 + 16 * 8 * 8 + 32 * 4 * 4)  # bytes of a 64x64 image's features


class Counted(ResNetTeacher):
    """Counts the images that it has looked at."""

    seen = 0

    def forward(self, x):
        self.seen += len(x)
        return super().forward(x)


@pytest.fixture
def teacher() -> Counted:
    counted = Counted(basic((8, 16, 32)))
    counted.load_state_dict(tiny_teacher().state_dict())
    return counted


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_each_image_is_looked_at_once(teacher: Counted, images: torch.Tensor):
    memory = FeatureCache(teacher)
    for rows in ([4, 0, 2], [2, 4, 0], [0, 1, 2, 4]):
        stages = memory(images[rows], np.array(rows))
        for found, expected in zip(stages, tiny_teacher()(images[rows]), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert teacher.seen == 4


def test_same_bits_whatever_came_before(teacher: Counted, images: torch.Tensor):
    rows = np.array([3, 5])
    fresh = FeatureCache(teacher)(images[rows], rows)
    memory = FeatureCache(teacher)
    for before in ([5, 0, 1], [3, 2]):
        memory(images[before], np.array(before))
    assert all(torch.equal(a, b) for a, b in zip(memory(images[rows], rows), fresh, strict=True))


def test_changed_images_are_looked_at_anew(teacher: Counted, images: torch.Tensor):
    memory = FeatureCache(teacher)
    memory(images[:2], np.array([0, 1]))
    (first, *_) = memory(images[2:4], None)
    assert torch.equal(first, tiny_teacher()(images[2:4])[0])
    assert teacher.seen == 4


def test_it_keeps_within_its_limit(teacher: Counted, images: torch.Tensor):
    memory = FeatureCache(teacher, limit=3 * PER_IMAGE)
    for _ in range(2):
        memory(images[[0, 2]], np.array([0, 2]))  # they fit: once
        memory(images[[1, 3]], np.array([1, 3]))  # 3 does not: twice
    assert teacher.seen == 2 + 2 * 2
