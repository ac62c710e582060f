from __future__ import annotations

import pytest
import torch

from flawmap.backbones.resnet import ResNetTeacher
from flawmap.errors import UsageError
from flawmap.methods.registry import METHODS, find_preset
from flawmap.runtime.torch_device import choose_device, forbid_tf32
from flawmap.training.steps.device import (
    autocast,
    choose_layout,
    choose_precision,
    exact,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("has", [False, True])
def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch, has: bool):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has)
    assert choose_device("auto").type == ("cuda" if has else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cpu:x"])
def test_unknown_device(name):
    with pytest.raises(UsageError, match="auto, cpu or cuda"):
        choose_device(name)


def test_absent_cuda_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("has", [False, True])
def test_precision_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, has: bool):
    monkeypatch.setattr("flawmap.training.steps.device._cpu_multiplies_bf16", lambda: has)
    assert choose_precision(CPU, "float32") == "float32"
    assert choose_precision(CPU, "bf16") == "bf16"
    assert choose_precision(CPU, "auto") == ("bf16" if has else "float32")


def test_the_papers_compute_in_float32_and_fast_in_what_there_is():
    for method in METHODS:
        assert find_preset(method, "paper").precision == "float32"
        assert find_preset(method, "fast").precision == "auto"


def cuda_flags() -> tuple[bool, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )


def test_cuda_is_exact_while_training_and_as_before_after_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    before = cuda_flags()
    with exact(torch.device("cuda")):  # needs none: it sets what CUDA would read
        assert cuda_flags() == (True, True, False, False)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert cuda_flags() == before
    with exact(CPU):
        assert cuda_flags() == before


def test_float32_on_cuda_is_no_tf32():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        forbid_tf32()
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (False, False)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


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
