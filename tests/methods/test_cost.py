"""What an image costs: multiply-accumulates of every convolution, counted by their shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flawmap.backbones.resnet import RESNET18, ResNetTeacher
from flawmap.methods.registry import METHODS, find_preset

LIMIT = 5e9  # of `fast` at 256x256


def multiply_accumulates(module: nn.Module, size: tuple[int, int]) -> int:
    """Of one image; the network's shapes alone, nothing is computed."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
        reached = output if isinstance(layer, nn.Conv2d) else inputs[0]
        total += reached[0, 0].numel() * layer.weight.numel()

    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    module.eval()(torch.empty(1, 3, *size))
    return total


def test_counting_by_hand():
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 2, 2))
        assert multiply_accumulates(network, (16, 16)) == 8 * 8 * (8 * 3 * 9) + 8 * 8 * (8 * 4 * 4)


@pytest.mark.parametrize("method", METHODS)
def test_fast_is_light_with_a_whole_resnet_18(method):
    with torch.device("meta"):
        module = METHODS[method](ResNetTeacher(RESNET18), find_preset(method, "fast")).module
        assert 1e9 < multiply_accumulates(module, (256, 256)) <= LIMIT
