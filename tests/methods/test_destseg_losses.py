from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from flawmap.methods.destseg.losses import cosine_loss, segmentation_loss
from flawmap.methods.modules.features import cosine_distances
from flawmap.methods.modules.losses import focal_loss


def features(batch: int, seed: int):
    draw = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(batch, channels, side, side, generator=draw)
        for channels, side in ((8, 16), (16, 8), (32, 4))
    )


def test_cosine_by_hand():
    """One position along, one across, one against, one at 60 degrees: D = 0, 1, 2, 1/2."""
    teacher = torch.tensor([[1.0, 0], [1, 0], [2, 0], [5, 0]]).T.reshape(1, 2, 2, 2)
    angle = math.pi / 3
    student = torch.tensor([[7.0, 0], [0, 3], [-1, 0], [math.cos(angle), math.sin(angle)]])
    student = student.T.reshape(1, 2, 2, 2)
    (found,) = cosine_distances((teacher,), (student,))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 1.0], [2.0, 0.5]]]))
    three = (teacher,) * 3, (student,) * 3
    assert cosine_loss(*three, "sum").item() == pytest.approx(3 * 3.5 / 4)


def test_cosine_loss_against_numpy():
    teacher, student = features(2, 0), features(2, 1)
    expected = 0.0
    for t, s in zip(teacher, student, strict=True):
        t, s = t.double().numpy(), s.double().numpy()
        cosine = (t * s).sum(1) / np.linalg.norm(t, axis=1) / np.linalg.norm(s, axis=1)
        expected += (1 - cosine).sum() / (t.shape[2] * t.shape[3])
    assert cosine_loss(teacher, student, "sum").item() == pytest.approx(expected, rel=1e-5)


def test_hard_positions_weigh_more_by_hand():
    """Distances 0 and 1 side by side: weights 0 and 2, so the mean of 1/2 becomes 1."""
    teacher = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    student = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]], requires_grad=True)
    both = (teacher,) * 3, (student,) * 3
    assert cosine_loss(*both, "mean").item() == pytest.approx(3 * 0.5)
    assert cosine_loss(*both, "mean", 1.0).item() == pytest.approx(3 * 1.0, rel=1e-3)
    assert cosine_loss(*both, "mean", 0.5).item() == pytest.approx(3 * 0.99, abs=0.02)


def test_weights_average_one_over_the_batch_and_carry_no_gradient():
    torch.manual_seed(0)
    teacher = tuple(torch.rand(4, 8, 3, 3) for _ in range(3))
    student = tuple(torch.rand(4, 8, 3, 3, requires_grad=True) for _ in range(3))
    expected = 0.0
    for t, s in zip(teacher, student, strict=True):
        (d,) = cosine_distances((t,), (s,))
        weight = (d.detach() + 1e-4) / (d.detach() + 1e-4).mean()
        expected = expected + (weight * d).mean()
    loss = cosine_loss(teacher, student, "mean", 1.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    found = torch.autograd.grad(loss, student)
    wanted = torch.autograd.grad(expected, student)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_sum_over_a_batch_of_32_is_32_means():
    teacher, student = features(32, 0), features(32, 1)
    summed, mean = (cosine_loss(teacher, student, r).item() for r in ("sum", "mean"))
    assert summed == pytest.approx(32 * mean, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_segmentation_adds_l1_of_the_probability(weight):
    probability, mask = torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0])
    logits = torch.logit(probability).view(1, 1, 1, 2)
    focal = -(0.1**4 * math.log(0.9) + 0.2**4 * math.log(0.8)) / 2
    found = segmentation_loss(logits, mask.view(1, 1, 1, 2), 4.0, weight)
    assert found.item() == pytest.approx(focal + weight * (0.1 + 0.2) / 2, rel=1e-4)


def test_an_image_without_mask_adds_neither_focal_loss_nor_distance():
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 1, 20, 20), (torch.rand(2, 1, 20, 20) > 0.8).float()
    alone = segmentation_loss(logits[:1], mask[:1], 4.0, 1.0).item()
    highest = math.log1p(math.exp(-logits[1].max().item()))  # 1 of 400 places
    found = segmentation_loss(logits, mask, 4.0, 1.0, torch.tensor([1.0, 0.0])).item()
    assert found == pytest.approx((alone + highest) / 2, rel=1e-5)


def test_where_all_masks_are_known_the_loss_is_as_before_bit_for_bit():
    torch.manual_seed(0)
    logits, mask = torch.randn(2, 1, 20, 20), (torch.rand(2, 1, 20, 20) > 0.8).float()
    distance = torch.nn.functional.l1_loss(logits.sigmoid(), mask)
    before = focal_loss(logits, mask, 4.0) + 0.5 * distance
    assert torch.equal(segmentation_loss(logits, mask, 4.0, 0.5), before)
