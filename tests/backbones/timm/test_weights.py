"""Where the weights of a timm network are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from backbones.timm.files import needs_timm, random_file
from flawmap.backbones.registry import load_backbone
from flawmap.errors import FlawmapError

pytestmark = needs_timm
NAME = "test_resnet"


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("FLAWMAP_WEIGHTS", raising=False)
    return cache


@pytest.mark.parametrize("file", [f"{NAME}.safetensors", f"{NAME}.r160_in1k.safetensors"])
def test_in_the_folder_of_weights(file, tmp_path, monkeypatch):
    random_file(tmp_path, NAME).rename(tmp_path / file)
    monkeypatch.setenv("FLAWMAP_WEIGHTS", str(tmp_path))
    backbone, source = load_backbone(f"timm:{NAME}")
    assert (source.file, backbone.weights_licence) == (file, "apache-2.0")


def test_in_the_hubs_cache(offline, tmp_path):
    snapshot = offline / f"models--timm--{NAME}.r160_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    random_file(tmp_path, NAME).rename(snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    _, source = load_backbone(f"timm:{NAME}.r160_in1k")
    assert (source.name, source.file) == (f"timm:{NAME}.r160_in1k", "model.safetensors")


def test_nowhere():
    with pytest.raises(FlawmapError, match=r"not in the hub's cache.*\n.*FLAWMAP_WEIGHTS"):
        load_backbone(f"timm:{NAME}")
    with pytest.raises(FlawmapError, match="gcvit_tiny: the hub has none"):
        load_backbone("timm:gcvit_tiny")
