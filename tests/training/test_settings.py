from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flawmap.errors import FlawmapError, UsageError
from flawmap.training.output_folder import FOLDS, run_folders
from flawmap.training.settings import (
    SETTINGS,
    Settings,
    check_split,
    resolve_precision,
    write_or_check_settings,
)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        method="destseg",
        preset="fast",
        configuration={"steps": 700, "size": [256, 256]},
        teacher="pocket",
        teacher_sha256="00",
        textures="drawn by flawmap",
        rotation="none",
        seed=0,
        precision="float32",
        images="11",
        held_out="20%",
    )


def test_the_same_settings_go_on(tmp_path: Path, settings: Settings):
    write_or_check_settings(tmp_path, settings, resume=False)
    write_or_check_settings(tmp_path, settings, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed = 0, now it is 1"),
        ({"precision": "bf16"}, "precision = 'float32', now it is 'bf16'"),
        ({"images": "22"}, "images"),
        ({"white_level": 4095}, "white_level = None, now it is 4095"),
        ({"configuration": {"steps": 800, "size": [256, 256]}}, "steps = 700, now it is 800"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, settings: Settings, change, message):
    write_or_check_settings(tmp_path, settings, resume=False)
    with pytest.raises(UsageError, match=message):
        write_or_check_settings(tmp_path, settings.model_copy(update=change), resume=True)


def test_a_teachers_file_may_be_moved_and_not_changed(tmp_path: Path, settings: Settings):
    write_or_check_settings(tmp_path, settings, resume=False)
    write_or_check_settings(
        tmp_path, settings.model_copy(update={"teacher": "renamed"}), resume=True
    )
    other = settings.model_copy(update={"teacher": "renamed", "teacher_sha256": "01"})
    with pytest.raises(UsageError, match="was started with"):
        write_or_check_settings(tmp_path, other, resume=True)


def test_other_folds_are_refused_before_anything_is_trained(tmp_path: Path, settings: Settings):
    """With twins alone there are no settings of the run itself yet."""
    twin = tmp_path / FOLDS / "0"
    check_split(tmp_path, [], "20%", folds=0)
    twin.mkdir(parents=True)
    write_or_check_settings(twin, settings, resume=False)
    check_split(tmp_path, [twin], "none; 2 twins calibrate", folds=2)
    with pytest.raises(UsageError, match="started with --folds"):
        check_split(tmp_path, [twin], "20%", folds=0)
    write_or_check_settings(tmp_path, settings, resume=False)
    check_split(tmp_path, [twin], "20%", folds=0)
    with pytest.raises(UsageError, match="held_out = '20%'"):
        check_split(tmp_path, [twin], "none; 2 twins calibrate", folds=2)


def test_resuming_before_anything_was_settled_starts(tmp_path: Path, settings: Settings):
    write_or_check_settings(tmp_path, settings, resume=True)
    assert (tmp_path / SETTINGS).is_file()


@pytest.mark.parametrize(
    ("asked", "native", "expected", "told"),
    [
        ("auto", False, "bf16", ["was started in bf16 and continues in it", "only emulates bf16"]),
        ("auto", True, "bf16", []),
        ("float32", True, "float32", []),  # the settings check refuses it, as for any other option
    ],
)
def test_a_run_resumed_on_another_processor_keeps_its_precision(
    tmp_path: Path, settings: Settings, monkeypatch, asked, native, expected, told
):
    write_or_check_settings(
        tmp_path, settings.model_copy(update={"precision": "bf16"}), resume=False
    )
    monkeypatch.setattr("flawmap.training.steps.device._cpu_multiplies_bf16", lambda: native)
    said: list[str] = []
    found = resolve_precision(asked, torch.device("cpu"), run_folders(tmp_path), said.append)
    assert found == expected
    assert len(said) == len(told)
    assert all(part in line for part, line in zip(told, said, strict=True))


@pytest.mark.parametrize("name", ["", f"{FOLDS}/1"])
def test_twins_are_trained_in_one_precision(tmp_path: Path, settings: Settings, name, monkeypatch):
    """The first was started elsewhere; the others, and the inspector itself, follow it."""
    (first := tmp_path / FOLDS / "0").mkdir(parents=True)
    write_or_check_settings(first, settings.model_copy(update={"precision": "bf16"}), resume=False)
    monkeypatch.setattr("flawmap.training.steps.device._cpu_multiplies_bf16", lambda: False)
    folders = run_folders(tmp_path / name)
    assert resolve_precision("auto", torch.device("cpu"), folders, lambda text: None) == "bf16"
    assert resolve_precision("auto", torch.device("cpu"), (), lambda text: None) == "float32"


def test_what_was_asked_for_is_named_before_what_follows_from_it(
    tmp_path: Path, settings: Settings
):
    write_or_check_settings(
        tmp_path, settings.model_copy(update={"white_level": 4095}), resume=False
    )
    other = {"white_level": 65535, "rotation": "full", "precision": "bf16"}
    with pytest.raises(UsageError, match="started with white_level = 4095, now it is 65535"):
        write_or_check_settings(tmp_path, settings.model_copy(update=other), resume=True)


def test_damaged_settings(tmp_path: Path, settings: Settings):
    (tmp_path / SETTINGS).write_text('{"method": ')
    with pytest.raises(FlawmapError, match="damaged"):
        write_or_check_settings(tmp_path, settings, resume=True)
