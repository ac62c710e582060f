"""The options of a training: declared once, and refused in one line where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import ValidationError

import flawmap
from flawmap.cli.config_options import config_options
from flawmap.errors import UsageError
from flawmap.training.config import TrainConfig
from flawmap.training.resolve import framing, method_config


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sede": 3}, "train has no option 'sede': did you mean 'seed'?"),
        ({"zzz": 3}, "train has no option 'zzz': choose from method, preset, teacher"),
        ({"seed": -1}, "--seed -1: input should be greater than or equal to 0."),
        ({"steps": 1}, "--steps 1: input should be greater than or equal to 2."),
        ({"batch_size": "many"}, "--batch-size many: input should be a valid integer"),
        ({"rotate": "sideways"}, "--rotate sideways: input should be 'auto', 'none', "),
        ({"precision": "fp8"}, "--precision fp8: "),
        ({"folds": 1}, "--folds 1: one fold leaves no images to train on: give 2 or more"),
        ({"teacher": 3}, "--teacher 3: "),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        flawmap.train(tmp_path / "data", tmp_path / "run", **options)
    assert str(caught.value).startswith(told)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_options_replace_those_of_a_configuration() -> None:
    base = TrainConfig(method="adps", seed=3)
    assert TrainConfig.of({"seed": 4}, base) == TrainConfig(method="adps", seed=4)
    assert TrainConfig.of({}, base) == base
    assert TrainConfig.of({}) == TrainConfig()


def test_a_configuration_is_frozen_and_survives_json() -> None:
    config = TrainConfig(size=(640, 256), textures=Path("dtd"), changes={"l1_weight": 0})
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1


def test_every_option_is_explained() -> None:
    fields = TrainConfig.model_fields
    assert [name for name, field in fields.items() if not (field.description or "").strip()] == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "auto"),
        ({"preset": "paper"}, "float32"),
        ({"preset": "paper", "precision": "bf16"}, "bf16"),
        ({"precision": "float32"}, "float32"),
        ({"changes": {"precision": "bf16"}}, "bf16"),
    ],
)
def test_precision_is_the_presets_unless_asked_otherwise(asked, expected):
    assert method_config(TrainConfig(**asked)).precision == expected


def test_steps_replace_the_epochs_of_a_preset():
    changed = TrainConfig(changes={"epochs": 3})
    assert method_config(changed).epochs == 3
    assert method_config(TrainConfig(steps=7)).steps_for("full", 100) == 7


@pytest.mark.parametrize(
    ("options", "overlap"),
    [({}, 0), ({"fit": "tiles"}, 64), ({"fit": "tiles", "overlap": 7}, 7)],
)
def test_tiles_overlap_by_a_quarter_unless_asked_otherwise(options, overlap):
    assert framing(TrainConfig(**options), (256, 256)).overlap == overlap


@pytest.mark.parametrize(("given", "expected"), [([], True), (["--no-cuda-graphs"], False)])
def test_what_is_on_by_default_can_be_turned_off(given, expected):
    command = click.Command("train", params=list(config_options()))
    assert command.make_context("train", list(given)).params["cuda_graphs"] is expected
