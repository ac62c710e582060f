"""A small teacher distilled from a large one: shapes, resume, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import flawmap
from backbones.made_up import registered
from flawmap.backbones.registry import load_backbone
from flawmap.errors import UsageError
from flawmap.training.distillation import distill as module
from flawmap.training.distillation.cycle import on_one_grid
from flawmap.training.distillation.images import pieces


@pytest.fixture(autouse=True, scope="module")
def known():
    with registered():
        yield


@pytest.fixture
def images(tiny_data: Path) -> Path:
    return tiny_data / "train"


@pytest.mark.parametrize("teacher", ["pocket", "stride-14", "two-levels"])
def test_it_is_a_teacher(teacher, images, tmp_path):
    said: list[tuple[int, int]] = []
    out = tmp_path / "small.safetensors"
    found = flawmap.distill(
        teacher, images, out, steps=4, show=lambda done, total: said.append((done, total))
    )
    assert said[-1] == (4, 4)
    assert found.parameters == 698_048
    assert found.megabytes == pytest.approx(out.stat().st_size / 1e6)
    assert found.held_out == 2
    assert len(found.cosine) == 3
    assert found.cosine != found.constant
    assert all(-1 <= value <= 1 for value in (*found.cosine, *found.constant))
    small, source = load_backbone(out)
    assert (small.channels, source.backbone) == ((32, 64, 128), None)
    with safe_open(out, framework="pt") as file:
        assert file.metadata()["distilled_from"] == teacher
    assert [path.name for path in tmp_path.iterdir()] == ["small.safetensors"]


def test_a_stopped_one_goes_on_to_the_same_weights(images, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SAVE_EVERY", 2)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    whole, parts, said = tmp_path / "a.safetensors", tmp_path / "b.safetensors", []
    flawmap.distill("two-levels", images, whole, steps=5)
    with pytest.raises(KeyboardInterrupt):
        flawmap.distill("two-levels", images, parts, steps=5, show=stop)
    assert not parts.exists()
    flawmap.distill("two-levels", images, parts, steps=5, say=said.append)
    assert said[-1:] == ["Going on after step 2 of 5."]
    once, twice = load_file(whole), load_file(parts)
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_what_is_refused(images, tmp_path):
    (tmp_path / "old.safetensors").touch()
    with pytest.raises(UsageError, match="exists already"):
        flawmap.distill("pocket", images, tmp_path / "old.safetensors")
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        flawmap.distill("pocket", images, tmp_path / "small.pth")
    with pytest.raises(UsageError, match="3 readable images: give 8 or more"):
        flawmap.distill("pocket", images.parent / "test/good", tmp_path / "small.safetensors")


@pytest.mark.parametrize(("shape", "count"), [((90, 100), 1), ((100, 390), 4), ((5000, 100), 8)])
def test_long_images_are_cut_into_squares(shape, count):
    assert pieces(np.zeros((*shape, 3), np.uint8)).shape == (count, 256, 256, 3)


def test_maps_are_averaged_over_the_coarser_grid():
    fine, coarse = torch.rand(1, 2, 8, 6), torch.rand(1, 3, 4, 3)
    one, two = on_one_grid(fine, coarse)
    assert torch.equal(two, coarse)
    assert torch.allclose(one[0, 0, 0, 0], fine[0, 0, :2, :2].mean())
