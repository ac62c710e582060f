from __future__ import annotations

from pathlib import Path

import pytest

from flawmap.errors import FlawmapError, UsageError
from flawmap.training.settings import SETTINGS, Settings, settle


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
    settle(tmp_path, settings, resume=False)
    settle(tmp_path, settings, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed = 0, now it is 1"),
        ({"precision": "bf16"}, "precision = 'float32', now it is 'bf16'"),
        ({"images": "22"}, "images"),
        ({"configuration": {"steps": 800, "size": [256, 256]}}, "steps = 700, now it is 800"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, settings: Settings, change, message):
    settle(tmp_path, settings, resume=False)
    with pytest.raises(UsageError, match=message):
        settle(tmp_path, settings.model_copy(update=change), resume=True)


def test_resuming_before_anything_was_settled_starts(tmp_path: Path, settings: Settings):
    settle(tmp_path, settings, resume=True)
    assert (tmp_path / SETTINGS).is_file()


def test_damaged_settings(tmp_path: Path, settings: Settings):
    (tmp_path / SETTINGS).write_text('{"method": ')
    with pytest.raises(FlawmapError, match="damaged"):
        settle(tmp_path, settings, resume=True)
