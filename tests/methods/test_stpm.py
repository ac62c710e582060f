"""STPM: the contract, and what is its own."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from flawmap.backbones.resnet import ResNetTeacher
from flawmap.methods.stpm.config import PAPER
from flawmap.methods.stpm.method import StpmMethod
from methods.contract import MethodContract
from methods.tiny import SIZE, tiny_batch, tiny_teacher


class TestStpm(MethodContract):
    method = "stpm"
    tiny_of: ClassVar = {
        "paper": {"student_phase": {"optimiser": "sgd", "learning_rates": (0.05,), "share": 1.0}}
    }


def build(**changes: object) -> StpmMethod:
    torch.manual_seed(0)
    return StpmMethod(tiny_teacher(), PAPER.model_copy(update={"size": SIZE, **changes}))


def unit(x: torch.Tensor) -> torch.Tensor:
    return F.normalize(x.double(), dim=1)


def test_loss_is_the_squared_distance_of_unit_features():
    method, batch = build(), tiny_batch()
    x = method.module.normalise_image(batch.clean)
    with torch.no_grad():
        pairs = list(zip(method.module.teacher(x), method.module.student(x), strict=True))
    expected = sum((unit(t) - unit(s)).square().sum(1).mean() for t, s in pairs)
    assert method.student_loss(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_loss_looks_at_the_clean_image_alone():
    method, batch = build(), tiny_batch()
    same = batch.__class__(batch.clean, torch.rand_like(batch.clean), batch.mask)
    assert torch.equal(method.student_loss(batch), method.student_loss(same))


@pytest.mark.parametrize(
    ("read_out", "levels"), [("product", (1, 2, 3)), ("sum", (1, 3)), ("product", (2,))]
)
def test_map_is_what_the_read_out_says(read_out, levels):
    module = build(read_out=read_out, levels=levels).module.eval()
    image = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        anomaly_map, score, _ = module(image)
        x = module.normalise_image(image)
        pairs = list(zip(module.teacher(x), module.student(x), strict=True))
    maps = []
    for level in levels:
        distance = 0.5 * (unit(pairs[level - 1][0]) - unit(pairs[level - 1][1])).square().sum(1)
        maps.append(F.interpolate(distance[:, None], (16, 16), mode="bilinear"))
    stacked = torch.cat(maps, 1)
    whole = stacked.prod(1) if read_out == "product" else stacked.mean(1)
    expected = F.interpolate(whole[:, None], SIZE, mode="bilinear")[:, 0]
    torch.testing.assert_close(anomaly_map.double(), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(score, anomaly_map.flatten(1).max(1).values)


def test_student_is_the_teachers_twin():
    """ResNet-18's stages 1-3 with their norms, at torchvision's start: no norm begins at 0."""
    with torch.device("meta"):
        student = StpmMethod(ResNetTeacher(), PAPER).module.student
    assert sum(p.numel() for p in student.parameters()) == 2_782_784
    lively = build().module.student
    assert all(
        (m.weight == 1).all() for m in lively.modules() if isinstance(m, torch.nn.BatchNorm2d)
    )


def test_paper_preset_is_the_published_schedule():
    phase = PAPER.student_phase
    assert (phase.optimiser, phase.learning_rates, phase.momentum) == ("sgd", (0.4,), 0.9)
    assert (phase.weight_decay, phase.schedule, PAPER.batch_size) == (1e-4, "constant", 32)
    assert PAPER.steps_for("none", 320) == 1000  # 100 passes
