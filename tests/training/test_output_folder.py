"""A run is never written over, among or instead of files that flawmap did not write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import MANIFEST, SETTINGS
from flawmap.training.output_folder import WORK, check_apart, check_free, tidy

PRECIOUS = (
    "cache/mine.txt",
    "folds/mine.txt",
    "checkpoints/step-best.safetensors",
    ".labels.2024.deadbeef",
    ".step-1.safetensors.12.0123abcd",
    "notes.txt",
)


def write_precious(folder: Path) -> None:
    for name in PRECIOUS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("precious", encoding="utf-8")


def assert_all_there(folder: Path) -> None:
    for name in PRECIOUS:
        assert (folder / name).read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("where", ["there", "data", "data/train", "data/train/good"])
def test_train_refuses_a_folder_of_other_files(
    tiny_data: Path, tmp_path: Path, where: str, resume: bool
):
    data, out = tmp_path / "data", tmp_path / where
    shutil.copytree(tiny_data, data)
    write_precious(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"not empty and not a flawmap run \(it holds .*as --out"):
        flawmap.train(data, out, steps=2, resume=resume)
    assert_all_there(out)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("data/train/good/run", "among the images"),
        ("data/test/run", "among the images"),
        ("data/ground_truth/../train/run", "among the images"),
        ("nested/here/../../data/train/run", "among the images"),
    ],
)
def test_train_refuses_a_new_folder_among_the_images(
    tiny_data: Path, tmp_path: Path, out: str, message: str
):
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    with pytest.raises(UsageError, match=message):
        flawmap.train(data, tmp_path / out, steps=2)


def test_a_folder_beside_the_images_is_fine_and_one_around_them_is_not(tmp_path: Path):
    root = tmp_path / "parts"
    images = [root / "good" / "1.png", root / "defective" / "crack" / "2.png"]
    check_apart(root / "run", root, images)
    check_apart(tmp_path / "run", root, images)
    with pytest.raises(UsageError, match="data folder"):
        check_apart(root / "good" / "..", root, images)
    with pytest.raises(UsageError, match="outside them"):
        check_apart(tmp_path, root, images)
    with pytest.raises(UsageError, match="among the images"):
        check_apart(root / "run", root, [root / "1.png"])


@pytest.mark.parametrize("left", [MANIFEST, SETTINGS])
def test_a_run_is_resumed_and_not_written_over(tmp_path: Path, left: str):
    for text in (json.dumps({"method": "stpm", "preset": "fast"}), "{"):
        (tmp_path / left).write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="give --resume, or another --out"):
            check_free(tmp_path, resume=False)
        check_free(tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("left", [MANIFEST, SETTINGS])
def test_another_programs_files_of_these_names_are_no_run(tmp_path: Path, left: str, resume: bool):
    (tmp_path / left).write_text('{"name": "an app"}', encoding="utf-8")
    with pytest.raises(UsageError, match="not a flawmap run"):
        check_free(tmp_path, resume=resume)


def test_a_training_in_folds_that_was_stopped_is_a_run(tmp_path: Path):
    (tmp_path / WORK / "folds" / "0").mkdir(parents=True)
    check_free(tmp_path, resume=False)
    (tmp_path / WORK / "folds" / "0" / SETTINGS).write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="--resume"):
        check_free(tmp_path, resume=False)
    check_free(tmp_path, resume=True)


@pytest.mark.parametrize("folds", [0, 2])
def test_a_training_that_is_refused_leaves_nothing(tmp_path: Path, folds: int):
    good = tmp_path / "data" / "good"
    good.mkdir(parents=True)
    for index in range(6):
        write_png(good / f"{index}.png", np.full((64, 64, 3), 9 * index, np.uint8))
    with pytest.raises(FlawmapError, match="only one colour"):
        flawmap.train(good.parent, tmp_path / "run", fit="tiles", size=(32, 32), folds=folds)
    assert not (tmp_path / "run").exists()


def test_a_disk_too_full_for_a_run_leaves_nothing(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("flawmap.utils.files.shutil.disk_usage", lambda folder: full)
    with pytest.raises(FlawmapError, match="free some space"):
        flawmap.train(tiny_data, tmp_path / "run", size=(64, 64), steps=2, batch_size=2)
    assert not (tmp_path / "run").exists()


def test_new_and_empty_folders_are_free(tmp_path: Path):
    check_free(tmp_path / "absent", resume=False)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / WORK).mkdir()
    check_free(tmp_path, resume=False)
    with pytest.raises(UsageError, match="is a file"):
        check_free(tmp_path / ".DS_Store", resume=False)


def test_tidying_deletes_what_training_made_and_nothing_else(tmp_path: Path):
    write_precious(tmp_path)
    for name in (
        f"{WORK}/cache/images.npy",
        f"{WORK}/folds/0/manifest.json",
        "checkpoints/step-00000012.safetensors",
        "checkpoints/.flawmap-7.0123abcd.tmp",
        ".flawmap-7.0123abcd.tmp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    tidy(tmp_path)
    assert_all_there(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(PRECIOUS)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have(tiny_data: Path, tmp_path: Path, name: str):
    with pytest.raises(FlawmapError, match="Cannot write"):
        flawmap.train(tiny_data, tmp_path / name)
    with pytest.raises(FlawmapError, match="Cannot write"):
        flawmap.demo(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_told_before_any_image_is_read(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("flawmap.training.prepare.load_good_images", lambda *_: pytest.fail("read"))
    with pytest.raises(FlawmapError, match="Cannot write /proc/none/run"):
        flawmap.train(tiny_data, "/proc/none/run", steps=2)
