"""Which backbone a name stands for, and how a run's is rebuilt."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from backbones.made_up import Stride14, registered
from flawmap.backbones.registry import load_backbone, rebuild_backbone
from flawmap.backbones.resnet import ResNetTeacher
from flawmap.errors import UsageError
from methods.tiny import tiny_teacher


def test_a_name_is_recorded_with_its_licence():
    backbone, source = load_backbone("pocket")
    assert (source.name, source.backbone) == ("pocket", "pocket")
    assert backbone.weights_licence == "Apache-2.0"


def test_a_file_is_a_resnet_whatever_its_name(tmp_path):
    with registered():
        file = tmp_path / "stride-14.safetensors"
        save_file(tiny_teacher().state_dict(), file)
        backbone, source = load_backbone(file)
        assert (source.name, source.backbone) == ("stride-14", None)
        assert backbone.weights_licence == "not known"
        rebuilt = rebuild_backbone(source.backbone, backbone.state_dict())
        assert isinstance(rebuilt, ResNetTeacher)


def test_a_registered_backbone_is_rebuilt_from_its_weights():
    with registered():
        backbone, source = load_backbone("stride-14")
        assert load_backbone("stride-14")[1].sha256 == source.sha256, "of its weights"
        rebuilt = rebuild_backbone(source.backbone, backbone.state_dict())
        assert isinstance(rebuilt, Stride14)
        x = torch.randn(1, 3, 28, 42)
        assert torch.equal(rebuilt(x)[0], backbone(x)[0])
        with pytest.raises(UsageError, match=r"give a file, or .*pocket, two-levels, stride-14"):
            load_backbone("stride-15")
