from __future__ import annotations

import pytest
import torch
from torch import nn

from flawmap.backbones.features import ImageNorm
from flawmap.backbones.resnet import WIDE_RESNET50_2, ResNetTeacher, basic
from flawmap.backbones.weights import fold_batch_norm


@pytest.mark.parametrize("widths", [(64, 128, 256), (32, 64, 128), (8, 12, 20)])
def test_stages_at_strides_4_8_16(widths):
    with torch.device("meta"):
        stages = ResNetTeacher(basic(widths))(torch.empty(2, 3, 96, 160))
    expected = [(2, w, 96 // s, 160 // s) for w, s in zip(widths, (4, 8, 16), strict=True)]
    assert [tuple(stage.shape) for stage in stages] == expected


def test_it_never_learns():
    teacher = nn.Sequential(ResNetTeacher(basic((8, 8, 8)))).train()[0]
    assert not teacher.training
    assert not any(m.training for m in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())


def test_stages_are_after_their_relu_and_not_overwritten_by_the_next():
    """Each stage equals the network cut off there, so no later in-place step touched it."""
    torch.manual_seed(0)
    teacher = ResNetTeacher(basic((8, 16, 32)))
    x = torch.randn(1, 3, 64, 64)
    stages = teacher(x)
    alone = nn.functional.max_pool2d(teacher.conv1(x).relu(), 3, 2, 1)
    for stage, layer in zip(stages, (teacher.layer1, teacher.layer2, teacher.layer3), strict=True):
        alone = layer(alone.clone())
        assert torch.equal(stage, alone)
        assert (stage >= 0).all()


def test_wide_resnet_has_the_parameters_that_the_paper_counts():
    """About 24.9 million with its norms; folding leaves one bias of each."""
    with torch.device("meta"):
        wide = ResNetTeacher(WIDE_RESNET50_2)
        stages = wide(torch.empty(1, 3, 64, 128))
    assert sum(p.numel() for p in wide.parameters()) == 24_842_752
    assert [tuple(s.shape[1:]) for s in stages] == [(256, 16, 32), (512, 8, 16), (1024, 4, 8)]


def test_images_are_normalised_by_imagenet():
    teacher = ResNetTeacher(basic((8, 8, 8)))
    norm = ImageNorm(teacher.mean, teacher.std)
    x = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    torch.testing.assert_close(norm(x), torch.zeros_like(x))
    spread = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(norm(x + spread), torch.ones_like(x))
    assert not norm.state_dict()


def test_a_folded_resnet_is_its_student_in_evaluation_mode():
    """One network, with norms and with them folded."""
    torch.manual_seed(0)
    teacher = ResNetTeacher(basic((8, 16, 32)))
    student = teacher.student(zero_last_norm=False)
    for norm in (m for m in student.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    teacher.load_state_dict(fold_batch_norm(student.state_dict()))
    x = torch.randn(2, 3, 64, 96)
    for found, expected in zip(teacher(x), student.eval()(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(teacher.with_stem(x)[0], teacher.stem(x))
    assert all(torch.equal(a, b) for a, b in zip(teacher.with_stem(x)[1:], teacher(x), strict=True))
