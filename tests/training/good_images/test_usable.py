"""Too little to learn from: refused, or left out and said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import flawmap
from flawmap.data.layouts import open_dataset
from flawmap.data.resize import Framing
from flawmap.errors import FlawmapError
from flawmap.training.good_images.load import GoodImages, load_good_images
from flawmap.types import Fit
from flawmap.utils.files import digest

Picture = NDArray[np.uint8]
FITS: list[Fit] = ["squash", "letterbox", "tiles"]


def noise(seed: int, *shape: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def colour(seed: int) -> Picture:
    return noise(seed, 32, 32, 3)


def save(folder: Path, images: list[Picture]) -> Path:
    (folder / "good").mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / "good" / f"{index:03d}.png")
    return folder


def load(data: Path, fit: Fit = "squash", group: str | None = None) -> GoodImages:
    framing = Framing((32, 32), fit, 8 if fit == "tiles" else 0)
    return load_good_images(open_dataset(data), framing, data.parent / "cache", 0, group=group)


@pytest.mark.parametrize("fit", FITS)
def test_copies_count_once(tmp_path: Path, fit: Fit):
    images = [colour(i // 2) for i in range(30)]
    found = load(save(tmp_path / "d", images), fit)
    assert (len(found.train), len(found.held), found.copies) == (10, 5, 15)
    assert not set(found.held_files) & set(found.trained_on)
    assert "15 of 30 good images are copies of another: only one of each is used." in found.notes
    every = {digest(path) for path in (tmp_path / "d" / "good").iterdir()}
    assert {*found.held_files, *found.trained_on} == every


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i: noise(i, 1, 1, 3), r"0 usable good images \(12 images left out: smaller than"),
        (lambda i: noise(i, 15, 400, 3), "smaller than 16 pixels"),
        (lambda i: np.full((40, 40, 3), (i, 9, 200), np.uint8), "left out: only one colour"),
        (lambda i: np.full((40, 40), 9 * i, np.uint8), "left out: only one colour"),
        (lambda i: colour(0), r"1 usable good images \(11 of 12 good images are copies"),
        (lambda i: colour(i % 5), "5 usable good images .* at least 6 are needed"),
    ],
)
def test_too_little_to_learn_from(
    tmp_path: Path, fit: Fit, make: Callable[[int], Picture], message: str
):
    with pytest.raises(FlawmapError, match=message) as caught:
        load(save(tmp_path / "d", [make(i) for i in range(12)]), fit)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_is_refused(tmp_path: Path, count: int):
    with pytest.raises(FlawmapError, match=f"{count} usable good images: at least 6 are needed"):
        load(save(tmp_path / "d", [colour(i) for i in range(count)]))


@pytest.mark.parametrize("fit", FITS)
def test_what_teaches_nothing_is_left_out_and_counted(tmp_path: Path, fit: Fit):
    useless = [np.full((40, 40, 3), 255, np.uint8), np.zeros((8, 8), np.uint8)]
    found = load(save(tmp_path / "d", [*useless, *(colour(i) for i in range(12))]), fit)
    assert (len(found.train) + len(found.held), found.useless) == (12, 2)
    assert not {0, 1} & {*found.train.tolist(), *found.held.tolist()}
    assert "1 image left out: smaller than 16 pixels." in found.notes
    assert "1 image left out: only one colour." in found.notes


def test_an_image_of_one_colour_but_for_one_spot_is_used(tmp_path: Path):
    spot = np.full((64, 64, 3), 90, np.uint8)
    spot[33:39, 41:47] = 200
    found = load(save(tmp_path / "d", [spot, *(colour(i) for i in range(12))]))
    assert found.useless == 0


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (noise(99, 32, 32), "1 of 31 good images are grey and the others in colour"),
        (noise(99, 30, 90, 3), "1 of 31 good images differ in shape from most, such as 030.png"),
    ],
)
def test_mixtures_are_told(tmp_path: Path, odd: Picture, message: str):
    images = [colour(i) for i in range(30)]
    assert load(save(tmp_path / "a", images)).notes == ()
    (note,) = load(save(tmp_path / "b", [*images, odd])).notes
    assert message in note


def test_few_are_told_what_they_cannot_promise(tmp_path: Path):
    (note,) = load(save(tmp_path / "d", [colour(i) for i in range(8)])).notes
    assert "Only 8 good images" in note
    assert "no false-reject rate below 16.7%" in note


def test_groups_are_counted_and_said(tmp_path: Path):
    data = save(tmp_path / "d", [colour(i) for i in range(60)])
    found = load(data, group=r"/(\d\d)\d\.")
    assert found.groups == 6
    assert (len(found.train), len(found.held), len(found.set_aside)) == (10, 5, 45)
    assert "from 6 groups, 45 set aside: only one image of each held-out group" in found.describe()
    with pytest.raises(FlawmapError, match="--group folder makes 1 group of the good images"):
        load(data, group="folder")


def test_the_split_of_renamed_files_is_another(tmp_path: Path):
    data = save(tmp_path / "d", [colour(i) for i in range(30)])
    before = load(data)
    (data / "good" / "000.png").rename(data / "good" / "999.png")
    after = load(data)
    assert before.fingerprint == after.fingerprint
    assert before.split_digest != after.split_digest


def test_a_run_records_copies_and_groups(tiny_data: Path, plain: str, tmp_path: Path):
    data = tmp_path / "data"
    shutil.copytree(tiny_data / "train", data)
    for path in sorted((data / "good").iterdir())[:3]:
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    run = tmp_path / "run"
    few = {"steps": 2, "batch_size": 2, "size": (64, 64)}
    flawmap.train(data, run, method=plain, rotate="none", group=r"(\d+)\.", **few)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    training, calibration = manifest["training"], manifest["calibration"]
    assert (training["copies"], training["groups"], training["group"]) == (3, 10, r"(\d+)\.")
    assert not set(training["trained_on"]) & set(calibration["images"])
    assert training["images"] + training["held_out"] == 10
