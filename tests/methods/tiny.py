"""DeSTSeg in miniature: its presets at 64x64, a few thousand weights."""

from __future__ import annotations

import torch
from torch import nn

from flawmap.backbones.resnet import ResNetTeacher, basic
from flawmap.methods.batch import Batch
from flawmap.methods.destseg.config import PRESETS, DestsegConfig
from flawmap.methods.destseg.method import DestsegMethod

SIZE, TALL = (64, 64), (128, 64)
TEACHER_WIDTHS = (8, 16, 32)


def tiny_config(preset: str, **changes: object) -> DestsegConfig:
    """The preset with its structure, losses and optimisers, but narrow."""
    full = PRESETS[preset]
    narrow = {
        "size": SIZE,
        "student_width": 0.125,
        "head_widths": tuple(8 for _ in full.head_widths),
        "batch_size": 4,
    }
    return DestsegConfig.model_validate(full.model_dump() | narrow | changes)


def tiny_teacher(seed: int = 0) -> ResNetTeacher:
    """Random weights, scaled so that features neither die nor explode."""
    torch.manual_seed(seed)
    teacher = ResNetTeacher(basic(TEACHER_WIDTHS))
    for parameter in teacher.parameters():
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            torch.nn.init.normal_(parameter, std=0.1)
    return teacher


def tiny_method(preset: str, seed: int = 0, **changes: object) -> DestsegMethod:
    teacher = tiny_teacher()
    torch.manual_seed(seed)
    return DestsegMethod(teacher, tiny_config(preset, **changes))


def liven(module: nn.Module) -> nn.Module:
    """Make its norms and statistics all different, as after training."""
    for norm in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias, 0, 0.2)
        nn.init.normal_(norm.running_mean, 0, 0.2)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return module


def silence(stage: nn.Module) -> None:
    """Make all features of a stage 0."""
    for norm in (m for m in stage.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.zeros_(norm.weight)
        nn.init.constant_(norm.bias, -1.0)


def lively_module(preset: str, seed: int = 0, **changes: object) -> nn.Module:
    """A network in training, of the same weights every time."""
    module = liven(tiny_method(preset, seed, **changes).module)
    return module.to(memory_format=torch.channels_last).train()


def tiny_batch() -> Batch:
    """Four noisy images, inverted inside one rectangle."""
    clean = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(4, 1, *SIZE)
    mask[:, :, 16:40, 8:32] = 1
    return Batch(clean, torch.where(mask > 0, 1 - clean, clean), mask)
