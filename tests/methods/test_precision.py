"""What compares teacher and student is computed in float32, whatever their features are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from flawmap.methods.adps.segmentation import Gate, distance
from flawmap.methods.destseg.head import compare
from flawmap.methods.destseg.losses import cosine_loss
from flawmap.methods.modules.features import cosine_distances, distance_maps
from flawmap.training.steps.device import autocast

CPU = torch.device("cpu")
WIDTHS = (64, 128, 256)
Levels = Sequence[Tensor]


@pytest.fixture(scope="module")
def features() -> tuple[list[Tensor], list[Tensor]]:
    """bf16 features of an image, and of a student that has nearly learned them (1 % noise)."""
    draw = torch.Generator().manual_seed(0)
    sizes = (16, 8, 4)
    teacher = [torch.rand(2, c, n, n, generator=draw) for c, n in zip(WIDTHS, sizes, strict=True)]
    student = [t + 0.01 * torch.randn(t.shape, generator=draw) for t in teacher]
    return [t.bfloat16() for t in teacher], [s.bfloat16() for s in student]


def gate(how: str, measure: str = "cosine") -> Callable[[Levels, Levels], Levels]:
    return Gate(how, measure, WIDTHS)


COMPARISONS: dict[str, Callable[[Levels, Levels], Levels]] = {
    "cosine_distances": cosine_distances,
    "distance_maps": lambda t, s: [distance_maps(t, s)],
    "DeSTSeg's loss, mean": lambda t, s: [cosine_loss(t, s, "mean", 1.0)],
    "DeSTSeg's loss, sum": lambda t, s: [cosine_loss(t, s, "sum")],
    "DeSTSeg's head reads products": lambda t, s: compare(t, s, "products"),
    "DeSTSeg's head reads distances": lambda t, s: compare(t, s, "distances"),
    "ADPS's distance": lambda t, s: [distance(*pair, "cosine") for pair in zip(t, s, strict=True)],
    "ADPS's squared": lambda t, s: [distance(*pair, "squared") for pair in zip(t, s, strict=True)],
    "ADPS's gate": gate("weight"),
    "ADPS's gate, squared": gate("weight", "squared"),
    "ADPS's gate, difference": gate("difference"),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_of_bf16_features_are_float32s(name, features):
    teacher, student = features
    wide = [t.float() for t in teacher], [s.float() for s in student]
    with autocast(CPU, "bf16"):
        found = COMPARISONS[name](teacher, student)
    for one, expected in zip(found, COMPARISONS[name](*wide), strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, expected, atol=1e-6, rtol=1e-5)


def test_small_distances_stay_apart(features):
    """In bf16 a map of them has some ten values, one in twenty of them below 0."""
    with autocast(CPU, "bf16"):
        (finest, *_) = cosine_distances(*features)
    assert finest.unique().numel() > finest.numel() / 2
    assert finest.min() > 0
