"""Shots of one part stay on one side of the split; where nothing is said, likeness is looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.data.groups import group_images
from flawmap.data.layouts import open_dataset
from flawmap.demonstration.drawing import TRAIN, Product
from flawmap.errors import UsageError
from flawmap.training.choices.groups import burst_hint
from flawmap.training.good_images.split import Part

ROOT = Path("data")


def numbers(names: list[str], rule: str | int | None, sha256: list[str] | None = None) -> list[int]:
    return group_images([ROOT / name for name in names], ROOT, rule, sha256 or ()).tolist()


@pytest.mark.parametrize(
    ("rule", "names", "expected"),
    [
        (None, ["good/1.png", "good/2.png"], [0, 1]),
        (r"part\d+", ["good/part1_a.png", "good/part1_b.png", "good/part12.png"], [0, 0, 1]),
        (r"part(\d+)_shot(\d)", ["part1_shot1.png", "part1_shot2.png"], [0, 1]),
        (r"part(\d+)_shot\d", ["part1_shot1.png", "part1_shot2.png"], [0, 0]),
        (r"^(.*)_\d+\.", ["a/x_1.png", "a/x_2.png", "b/x_1.png"], [0, 0, 1]),
        (r"part(\d)|(odd)", ["part1.png", "odd.png", "part1_b.png"], [0, 1, 0]),
        (r"p(\d)", ["p1.png", "else.png", "other.png", "p1b.png"], [0, 1, 2, 0]),
        ("folder", ["good/a/1.png", "good/a/2.png", "good/b/1.png", "good/1.png"], [0, 0, 1, 2]),
        ("1", ["good/a/1.png", "good/a/2.png", "good/b/1.png"], [0, 0, 1]),
        (2, ["good/a/x/1.png", "good/a/y/1.png", "good/b/x/1.png"], [0, 0, 1]),
        (9, ["good/a/1.png", "good/b/1.png"], [0, 0]),
    ],
)
def test_rules(rule: str | int | None, names: list[str], expected: list[int]):
    assert numbers(names, rule) == expected


def test_groups_with_a_file_in_common_are_one():
    names = ["a1", "a2", "b1", "c1", "b2", "c2"]
    assert numbers(names, "[abc]", ["1", "2", "3", "4", "2", "5"]) == [0, 0, 0, 1, 0, 1]
    assert numbers(names, "[abc]", ["1", "2", "3", "2", "1", "5"]) == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("[", "not a regular expression"),
        ("nothing", "matches none of the 1 good image, such as good/1.png"),
        ("0", "count from 1"),
        (-1, "matches none"),
    ],
)
def test_rules_that_are_none(rule: str | int, message: str):
    with pytest.raises(UsageError, match=message):
        numbers(["good/1.png"], rule)


@pytest.mark.parametrize("part", [Part(), Part(5, 0), Part(5, 4)])
def test_a_group_is_on_one_side_and_one_of_its_images_sets_the_thresholds(part: Part):
    groups = np.repeat(np.arange(40), 3)
    split = part.split(groups, 7)
    held, aside = set(groups[split.held]), set(groups[split.set_aside])
    assert len(split.held) == len(held) == 8
    assert held == aside
    assert not held & set(groups[split.train])
    assert sorted([*split.train, *split.held, *split.set_aside]) == list(range(120))
    places = {int(row) % 3 for row in split.held}
    assert len(places) > 1, "not always the first shot"


def hint(images: list[np.ndarray]) -> str | None:
    return burst_hint(images.__getitem__, np.arange(len(images)))


def shots(parts: int, of_each: int, noise: float, kind: int = 0) -> list[np.ndarray]:
    rng, product = np.random.default_rng(0), Product.from_seed(kind, 96)
    return [
        (product.good(TRAIN, i) + rng.normal(0, noise, (96, 96, 3))).clip(0, 255).astype(np.uint8)
        for i in range(parts)
        for _ in range(of_each)
    ]


@pytest.mark.parametrize("kind", range(4))
def test_bursts_of_a_drawn_product_are_told(kind: int):
    assert hint(shots(24, 1, 3.0, kind)) is None
    told = hint(shots(12, 2, 3.0, kind))
    assert told is not None
    assert "12 of 23 neighbouring" in told
    assert "--group" in told


def test_parts_that_all_look_alike_are_no_burst():
    rng = np.random.default_rng(0)
    assert hint([rng.normal(100, 4, (40, 50, 3)).astype(np.uint8) for _ in range(30)]) is None
    assert hint([np.full((40, 50, 3), 9, np.uint8)] * 30) is None
    assert hint(shots(3, 3, 1.0)) is None, "too few to tell"


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [
        *(f"mvtec_ad_256/{one}" for one in ("screw", "toothbrush", "transistor")),
        "surfaces/aitex_fabric_02",
        "surfaces/crackforest",
        "kolektor_sdd",
    ],
)
def test_ordinary_data_are_no_bursts(shared_data: Path, name: str):
    paths = open_dataset(shared_data / name).good_train[:150]
    images = [np.asarray(Image.open(path).convert("RGB").resize((128, 128))) for path in paths]
    assert hint(images) is None
