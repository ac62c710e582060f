"""The drawn product: the same from the same seed, exact masks, and defects as they are named."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from flawmap.demonstration.drawing import (
    KINDS,
    REACH,
    TEST,
    TRAIN,
    Picture,
    Product,
    describe_product,
    draw_dataset,
)

SEEDS = (0, 1, 2, 3)
METAL = [kind for kind in KINDS if kind != "crack"]
PLASTIC = [kind for kind in KINDS if kind != "dent"]
CASES = [(0, kind) for kind in METAL] + [(3, kind) for kind in PLASTIC]
CASES += [(1, "missing"), (2, "missing"), (2, "chip")]


@cache
def product(seed: int) -> Product:
    return Product.from_seed(seed)


@cache
def drawn(seed: int, kind: str) -> tuple[Picture, Picture, Picture]:
    return product(seed).defective(kind, 0)


def difference(picture: Picture, clean: Picture) -> np.ndarray:
    """Largest change over the channels, (H, W)."""
    return np.abs(picture.astype(int) - clean.astype(int)).max(axis=-1)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def test_layout_is_mvtec_and_bytes_repeat(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_dataset(tmp_path / name, 5, size=64, train_good=2, test_good=1, defective_per_type=1)
    first = files(tmp_path / "a")
    assert first == files(tmp_path / "b")
    expected = {"train/good/000.png", "train/good/001.png", "test/good/000.png"}
    expected |= {f"test/{k}/000.png" for k in PLASTIC}
    expected |= {f"ground_truth/{k}/000_mask.png" for k in PLASTIC}
    assert set(first) == expected
    mask = np.asarray(Image.open(tmp_path / "a/ground_truth/chip/000_mask.png"))
    assert mask.dtype == np.uint8
    assert mask.shape == (64, 64)
    assert set(np.unique(mask)) == {0, 255}


def test_other_seeds_are_other_products() -> None:
    assert len({describe_product(seed) for seed in range(12)}) == 12
    pictures = [product(seed).good(TRAIN, 0).astype(float) for seed in SEEDS]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 15


def test_good_parts_vary_a_little() -> None:
    one, two = (product(0).good(TRAIN, i).astype(float) for i in (0, 1))
    assert 2 < np.abs(one - two).mean() < 40
    assert not np.array_equal(one, product(0).good(TEST, 0))


@pytest.mark.parametrize(("seed", "kinds"), [(0, METAL), (1, PLASTIC), (2, PLASTIC), (3, PLASTIC)])
def test_kinds(seed: int, kinds: list[str]) -> None:
    assert list(product(seed).kinds) == kinds
    assert len(kinds) == 6


@pytest.mark.parametrize(("seed", "kind"), CASES)
def test_mask_is_what_changed(seed: int, kind: str) -> None:
    picture, clean, mask = drawn(seed, kind)
    change, inside = difference(picture, clean), mask > 0
    distance = ndimage.distance_transform_edt(~inside)
    assert not change[distance >= REACH.get(kind, 6)].any()
    assert (change[inside] > 1).mean() > 0.9
    assert change[inside].mean() > 4 * change[(distance > 2) & (distance < 12)].mean()


@pytest.mark.parametrize(("seed", "kind"), CASES)
def test_mask_is_tight_and_mostly_one_region(seed: int, kind: str) -> None:
    mask = drawn(seed, kind)[2] > 0
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    assert 20 <= mask.sum() < 0.05 * mask.size
    assert np.bincount(regions.ravel())[1:].max() >= 0.5 * mask.sum()
    assert count <= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_scratch_is_thin(seed: int) -> None:
    mask = drawn(seed, "scratch")[2] > 0
    thickness = 2 * ndimage.distance_transform_edt(mask).max()
    assert thickness <= 6  # a line of 2 pixels and its antialiased rim
    assert mask.sum() > 4 * thickness


@pytest.mark.parametrize("seed", SEEDS)
def test_stain_is_faint_yet_there(seed: int) -> None:
    picture, clean, mask = drawn(seed, "stain")
    assert 10 < difference(picture, clean)[mask > 0].mean() < 45


@pytest.mark.parametrize("kind", ["scratch", "missing"])
def test_defects_differ_in_place(kind: str) -> None:
    first, second = drawn(0, kind)[2], product(0).defective(kind, 1)[2]
    assert not np.array_equal(first, second)
