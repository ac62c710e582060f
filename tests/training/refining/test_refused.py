"""Refinements that are refused: a clear line each, and nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest


@pytest.fixture
def place(parent: Path, known_defects: Path, rejected: Path, tmp_path: Path) -> Path:
    """A folder with a run, defects and good parts."""
    for source, name in ((parent, "run"), (known_defects, "defects"), (rejected, "more")):
        shutil.copytree(source, tmp_path / name)
    (tmp_path / "empty").mkdir()
    return tmp_path


def all_good(place: Path, data: Path) -> None:
    shutil.rmtree(place / "defects")
    shutil.copytree(data / "train" / "good", place / "defects" / "dent")


def known_good(place: Path, data: Path) -> None:
    shutil.rmtree(place / "more")
    shutil.copytree(data / "train" / "good", place / "more" / "good")


def folds(place: Path, data: Path) -> None:
    manifest = read_manifest(place / "run")
    values = manifest.calibration.model_copy(update={"folds": 3})
    write_manifest(place / "run", manifest.model_copy(update={"calibration": values}))


def no_head(place: Path, data: Path) -> None:
    manifest = read_manifest(place / "run")
    stpm = flawmap.TrainConfig(method="stpm")
    from flawmap.training.resolve import method_config

    changes = {"method": "stpm", "configuration": method_config(stpm).model_dump(mode="json")}
    write_manifest(place / "run", manifest.model_copy(update=changes))


def damaged(place: Path, data: Path) -> None:
    path = place / "run" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def no_manifest(place: Path, data: Path) -> None:
    (place / "run" / "manifest.json").unlink()


def nothing(place: Path, data: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "words", "told"),
    [
        (nothing, {}, "nothing to learn: give --defects DIR, --good DIR, or both"),
        (nothing, {"defects": "absent"}, "no such folder"),
        (nothing, {"defects": "empty"}, "empty"),
        (nothing, {"defects": "more"}, "good images only"),
        (nothing, {"good": "absent"}, "no such folder"),
        (nothing, {"good": "empty"}, "empty"),
        (nothing, {"defects": "defects", "data": "absent"}, "give --data DIR"),
        (nothing, {"defects": "defects", "data": "more"}, "0 of the 5 images that it was"),
        (all_good, {"defects": "defects"}, "one of the two labels is wrong"),
        (known_good, {"good": "more"}, "No image of .* is new to it: give other good images"),
        (folds, {"defects": "defects"}, "calibrated by folds.*train anew with --defects"),
        (no_head, {"defects": "defects"}, "without a head.*refine a run of destseg or adps"),
        (damaged, {"defects": "defects"}, "weights.safetensors"),
        (no_manifest, {"defects": "defects"}, "run"),
        (nothing, {"defects": "defects", "out": "run"}, "give --resume, or another --out"),
        (nothing, {"defects": "defects", "out": "defects"}, "--out"),
        (nothing, {"defects": "defects", "out": "defects/crack/new"}, "among the images"),
        (nothing, {"good": "more", "out": "more/good/new"}, "among the images"),
        (nothing, {"defects": "defects", "device": "tpu"}, "tpu"),
    ],
)
def test_refused(
    change: Callable[[Path, Path], None],
    words: dict[str, str],
    told: str,
    place: Path,
    tiny_data: Path,
    tiny_textures: Path,
):
    change(place, tiny_data)
    given: dict[str, Any] = {
        name: value if name == "device" else place / value for name, value in words.items()
    }
    before = {path: path.is_file() and path.read_bytes() for path in place.rglob("*")}
    with pytest.raises(FlawmapError, match=told) as error:
        flawmap.refine(
            place / "run", given.pop("out", place / "new"), textures=tiny_textures, **given
        )
    assert "\n" not in str(error.value)
    assert {path: path.is_file() and path.read_bytes() for path in place.rglob("*")} == before
