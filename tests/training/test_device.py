from __future__ import annotations

import pytest
import torch

from flawmap.errors import UsageError
from flawmap.methods.registry import METHODS, find_preset
from flawmap.teachers.resnet import ResNetTeacher
from flawmap.training.device import autocast, choose_device, choose_layout, choose_precision

CPU = torch.device("cpu")


def test_auto_takes_what_there_is():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cpu:x"])
def test_unknown_device(name):
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        choose_device(name)


def test_absent_cuda_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device("cuda")


def test_precision_is_named():
    assert choose_precision(CPU) in ("float32", "bf16")


def test_autocast_changes_convolutions_only_where_asked():
    x, weight = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3)
    with autocast(CPU, "float32"):
        assert torch.conv2d(x, weight).dtype == torch.float32
    with autocast(CPU, "bf16"):
        assert torch.conv2d(x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("preset", "precision", "last"),
    [("fast", "float32", True), ("paper", "float32", False), ("paper", "bf16", True)],
)
def test_wide_convolutions_in_float32_are_laid_out_as_pytorch_likes_them(preset, precision, last):
    module = METHODS["destseg"](ResNetTeacher(), find_preset("destseg", preset)).module
    expected = torch.channels_last if last else torch.contiguous_format
    assert choose_layout(module, CPU, precision) == expected
