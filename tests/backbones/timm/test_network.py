"""What a network of timm gives as a backbone, and what is refused."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backbones.timm.files import needs_timm, random_file, real_file
from flawmap.backbones.registry import load_backbone, rebuild_backbone
from flawmap.backbones.timm import library, network
from flawmap.backbones.timm.levels import choose_levels
from flawmap.errors import FlawmapError, UsageError

pytestmark = needs_timm


@pytest.mark.parametrize(
    ("strides", "levels"),
    [
        ([2, 4, 8, 16, 32], (1, 2, 3)),
        ([4, 8, 16, 32], (0, 1, 2)),
        ([2, 4, 4, 8, 16], (2, 3, 4)),
        ([8, 16, 32], (0, 1)),
        ([32, 64], (0, 1)),
        ([16] * 12, (2, 5, 8)),
        ([14] * 24, (5, 11, 17)),
        ([16], (0,)),
    ],
)
def test_levels(strides, levels):
    assert choose_levels(strides) == levels


@pytest.mark.parametrize(
    ("name", "strides", "signed", "mean"),
    [
        ("resnet18", (4, 8, 16), False, 0.485),
        ("test_convnext", (4, 8, 16), True, 0.5),
        ("test_vit", (16, 16, 16), True, 0.5),
        ("test_maxvit", (4, 8, 16), True, 0.5),
    ],
)
def test_a_network_says_what_it_is(name, strides, signed, mean, tmp_path):
    file = random_file(tmp_path, name)
    backbone, source = load_backbone(f"timm:{name}@{file}")
    assert (backbone.strides, backbone.signed, backbone.mean[0]) == (strides, signed, mean)
    assert (source.name, source.backbone, source.file) == (
        f"timm:{name}", f"timm:{name}", file.name,
    )  # fmt: skip
    assert backbone.weights_licence == "not known"
    size = (backbone.size_multiple, 2 * backbone.size_multiple)
    x = torch.randn(2, 3, *size)
    levels = backbone(x)
    for level, channels, stride in zip(levels, backbone.channels, strides, strict=True):
        assert level.shape == (2, channels, size[0] // stride, size[1] // stride)
    rebuilt = rebuild_backbone(source.backbone, backbone.state_dict())
    assert rebuilt.signed == signed
    assert all(torch.equal(a, b) for a, b in zip(rebuilt(x), levels, strict=True))


def test_a_fixed_size_changes_no_output(tmp_path):
    backbone, _ = load_backbone(f"timm:test_vit@{random_file(tmp_path, 'test_vit')}")
    x = torch.randn(1, 3, 48, 80)
    fixed = copy.deepcopy(backbone)
    fixed.fix_size((48, 80))
    assert all(torch.allclose(a, b) for a, b in zip(fixed(x), backbone(x), strict=True))
    with pytest.raises(RuntimeError):
        fixed(x[..., :64])


def test_real_weights_tell_images_apart(tmp_path):
    backbone, _ = load_backbone(f"timm:efficientnet_lite0@{real_file(tmp_path)}")
    x = torch.linspace(-2, 2, 64).expand(1, 3, 64, 64)
    for level in backbone(torch.cat([x, x.mT])):
        assert 0.1 < level.std() < 100
        assert torch.cosine_similarity(level[0].flatten(), level[1].flatten(), dim=0) < 0.95


def said(spec: str) -> str:
    with pytest.raises(FlawmapError) as caught:
        load_backbone(spec)
    assert str(caught.value).count("\n") <= 1
    return str(caught.value)


def test_an_unknown_name_is_refused_with_close_ones():
    assert "no model 'resnet81': did you mean 'resnet18'" in said("timm:resnet81")
    assert "of resnet18: a1_in1k" in said("timm:resnet18.other")


def test_networks_that_do_not_suit_are_refused(monkeypatch, tmp_path):
    file = random_file(tmp_path, "hiera_tiny_224")
    assert "of images of any size" in said(f"timm:hiera_tiny_224@{file}")
    fake = type("Fake", (), vars(library.timm()))

    def create_model(name, **options):
        raise RuntimeError("features_only not implemented")

    fake.create_model = staticmethod(create_model)
    monkeypatch.setattr(network, "timm", lambda: fake)
    assert "test_resnet offers no features that flawmap can use" in said("timm:test_resnet")


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_weights_that_do_not_fit_are_refused(name, tmp_path):
    file = random_file(tmp_path, name)
    state = load_file(file)
    layer = next(key for key, value in state.items() if value.ndim == 4 and "stem" not in key)
    save_file({key: value for key, value in state.items() if key != layer}, file)
    text = said(f"timm:{name}@{file}")
    assert text.startswith(f"{name}.safetensors: these weights do not fit timm's {name}")
    assert layer in text
    save_file(state | {layer: torch.zeros(1, 2, 3, 3)}, file)
    assert "do not fit" in said(f"timm:{name}@{file}")


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    library.timm.cache_clear()
    try:
        assert "pip install 'flawmap[backbones]'" in said("timm:resnet18")
    finally:
        monkeypatch.undo()
        library.timm.cache_clear()


def test_other_files_are_refused(tmp_path: Path):
    assert "refused, only .safetensors files are read" in said(f"timm:resnet18@{tmp_path}/a.pth")
    assert "No weights file" in said(f"timm:resnet18@{tmp_path}/a.safetensors")
    (tmp_path / "a.safetensors").write_text("no weights")
    assert "not a readable weights file" in said(f"timm:resnet18@{tmp_path}/a.safetensors")
    with pytest.raises(UsageError, match="pocket, timm:NAME"):
        load_backbone("tim:resnet18")
