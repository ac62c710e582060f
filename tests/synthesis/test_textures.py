from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.errors import FlawmapError
from flawmap.synthesis.textures import FAMILIES, draw_textures, load_textures

SIZE = (64, 96)


def test_shape_and_type():
    textures = draw_textures(3, SIZE, seed=0)
    assert textures.shape == (3, *SIZE, 3)
    assert textures.dtype == np.uint8


def test_texture_depends_on_seed_and_index_alone():
    few, many = draw_textures(4, SIZE, seed=5), draw_textures(9, SIZE, seed=5)
    np.testing.assert_array_equal(few, many[:4])
    assert (few != draw_textures(4, SIZE, seed=6)).any(axis=(1, 2, 3)).all()


def test_textures_are_varied():
    textures = draw_textures(120, (64, 64), seed=1).astype(float)
    spread = textures.std(axis=(1, 2)).mean(axis=1)
    brightness = textures.mean(axis=(1, 2, 3))
    colour = np.abs(textures - textures.mean(axis=3, keepdims=True)).mean(axis=(1, 2, 3))
    assert (spread > 2).all(), "a texture shows something"
    assert brightness.min() < 50
    assert brightness.max() > 200
    assert (colour < 1).mean() > 0.15, "many are grey, as industrial pictures are"
    assert (colour > 20).mean() > 0.1, "some are vivid"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.strip("_"))
@pytest.mark.parametrize("size", [(48, 80), (33, 17), (1, 1)])
def test_every_family_fits_any_size(family, size):
    field = family(np.random.default_rng(0), size)
    assert field.shape == size
    assert field.dtype == np.float32
    assert np.isfinite(field).all()


def test_load_reads_subfolders_and_passes_over_the_unreadable(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "deep/b.jpg"):
        Image.new("RGB", (20, 10), (200, 30, 30)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("nor this")
    textures = load_textures(tmp_path, SIZE, limit=10, seed=0)
    assert textures.shape == (2, *SIZE, 3)
    assert len(load_textures(tmp_path, SIZE, limit=1, seed=0)) == 1


def test_load_without_pictures_says_so(tmp_path: Path):
    with pytest.raises(FlawmapError, match="no readable image"):
        load_textures(tmp_path, SIZE, limit=10, seed=0)
