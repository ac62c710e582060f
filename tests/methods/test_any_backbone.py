"""Methods take any number of levels with any strides, and say so where a choice does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backbones.made_up import MADE_UP
from flawmap.backbones.student import LevelStudent
from flawmap.errors import UsageError
from flawmap.methods.base import Method
from flawmap.methods.batch import Batch
from flawmap.methods.registry import METHODS, find_preset
from flawmap.training.choices.shape import kept_shape
from flawmap.training.config import TrainConfig
from flawmap.training.resolve import check_backbone, choose_open_options, method_config
from methods.tiny import tiny_teacher

SIZES = {"two-levels": (48, 64), "stride-14": (56, 112), "five-levels": (96, 96)}
SMALL: dict[str, dict[str, Any]] = {
    "destseg paper": {"head_widths": (8,), "student_width": 0.125},
    "destseg fast": {"head_widths": (8, 8, 12), "student_width": 0.125},
    "destseg plain": {"decoder": False, "head": "none"},
    "adps paper": {"patches": 2, "widths": (8, 8)},
    "adps fast": {"patches": 1, "widths": (8, 8, 8), "gate": "concatenation"},
    "adps bare": {"patches": 2, "segmentation": False},
    "stpm fast": {"memory": {"kind": "placed"}},
}


def build(name: str, row: str) -> Method:
    method, preset = row.split()
    config = find_preset(method, preset if preset == "fast" else "paper")
    config = type(config).model_validate(config.model_dump() | SMALL[row])
    torch.manual_seed(0)
    return METHODS[method](MADE_UP[name](), config)


@pytest.mark.parametrize("row", SMALL)
@pytest.mark.parametrize("name", MADE_UP)
def test_every_phase_learns_and_outputs_have_their_shapes(name, row):
    method = build(name, row)
    height, width = SIZES[name]
    clean = torch.rand(2, 3, height, width)
    mask = (torch.rand(2, 1, height, width) > 0.9).float()
    batch = Batch(clean, torch.where(mask > 0, 1 - clean, clean), mask)
    for phase in method.phases():
        for group in phase.groups:
            group.train()
        phase.loss(batch).backward()
        assert all(
            p.grad is not None and p.grad.isfinite().all()
            for group in phase.groups
            for p in group.parameters()
        )
    with torch.no_grad():
        anomaly_map, score, distances = method.module.eval()(clean)
    backbone = method.module.teacher
    finest = (height // backbone.strides[0], width // backbone.strides[0])
    assert anomaly_map.shape == (2, height, width)
    assert score.shape == (2,)
    assert distances.shape == (2, len(backbone.channels), *finest)


@pytest.mark.parametrize("name", MADE_UP)
@pytest.mark.parametrize("size", [(96, 336), (336, 48)])
def test_a_students_levels_have_the_backbones_shapes(name, size):
    backbone = MADE_UP[name]()
    size = tuple(side // backbone.size_multiple * backbone.size_multiple for side in size)
    x = torch.randn(2, 3, *size)
    found = backbone.student(zero_last_norm=False)(x)
    assert [f.shape for f in found] == [f.shape for f in backbone(x)]
    assert any((f < 0).any() for f in found) == backbone.signed


def test_at_a_resnets_strides_the_student_for_any_backbone_is_a_resnet_18():
    teacher = tiny_teacher()
    own = teacher.student(zero_last_norm=False)
    other = LevelStudent(teacher.channels, teacher.strides, zero_last_norm=False)
    other.load_state_dict(own.state_dict())
    x = torch.randn(2, 3, 64, 96)
    assert all(torch.equal(a, b) for a, b in zip(own(x), other(x), strict=True))


@pytest.mark.parametrize(
    ("row", "changes", "said"),
    [
        ("stpm fast", {"levels": (3,)}, "levels 1 to 2, not 3"),
        ("destseg plain", {"levels": (1, 3)}, "levels 1 to 2, not 3"),
        ("adps paper", {"levels": 4}, "does not offer its stem"),
    ],
)
def test_levels_that_a_backbone_lacks_are_refused(row, changes, said, monkeypatch):
    monkeypatch.setitem(SMALL, row, SMALL[row] | changes)
    with pytest.raises(UsageError, match=said):
        build("two-levels", row)


@pytest.mark.parametrize(
    ("method", "changes", "size", "nearest"),
    [
        ("stpm", {}, (100, 64), "98x70"),
        ("destseg", {}, (256, 256), "252x252"),
        ("adps", {"patches": 2}, (126, 140), "112x140"),
    ],
)
def test_a_size_that_does_not_fit_the_backbone_names_one_that_does(method, changes, size, nearest):
    config = TrainConfig(method=method, size=size, changes=changes)
    with pytest.raises(UsageError, match=f"--size {size[0]}x{size[1]}: .*such as {nearest}"):
        check_backbone(config, MADE_UP["stride-14"]())
    height, width = map(int, nearest.split("x"))
    config = TrainConfig(method=method, size=(height, width), changes=changes)
    multiple = check_backbone(config, MADE_UP["stride-14"]())
    assert (height % multiple, width % multiple) == (0, 0)


@pytest.mark.parametrize(("method", "size"), [("stpm", 252), ("destseg", 252), ("adps", 224)])
def test_the_default_size_is_one_that_fits(method, size):
    config = TrainConfig(method=method)
    multiple = check_backbone(config, MADE_UP["stride-14"]())
    assert choose_open_options(config, [], None, multiple, print).size == (size, size)
    multiple = check_backbone(config, tiny_teacher())
    settled = choose_open_options(config, [], None, multiple, print)
    assert method_config(settled).size == (256, 256)


def test_a_longer_side_fits_too():
    assert kept_shape((100, 250), 252, 14) == (252, 630)
    assert kept_shape((100, 250), 256, 32) == (256, 640)
