from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawmap.errors import FlawmapError
from flawmap.synthesis.textures import FAMILIES, draw_textures, load_textures, texture_bank
from flawmap.utils.rng import Stream, from_words, generator

SIZE = (64, 96)


def test_shape_and_type():
    textures = draw_textures(3, SIZE, seed=0)
    assert textures.shape == (3, *SIZE, 3)
    assert textures.dtype == np.uint8


def test_texture_depends_on_seed_and_index_alone():
    few, many = draw_textures(4, SIZE, seed=5), draw_textures(9, SIZE, seed=5)
    np.testing.assert_array_equal(few, many[:4])
    assert (few != draw_textures(4, SIZE, seed=6)).any(axis=(1, 2, 3)).all()


def test_a_texture_shares_no_bits_with_another_stream(monkeypatch):
    """Texture i was once drawn from the bits of stream i."""
    firsts = []
    monkeypatch.setattr(
        "flawmap.synthesis.textures.draw_texture",
        lambda rng, size: firsts.append(rng.integers(2**63)) or np.zeros((*size, 3), np.uint8),
    )
    draw_textures(20, (8, 8), seed=0)
    others = {int(generator(0, s).integers(2**63)) for s in Stream if s != Stream.TEXTURE}
    others |= {int(from_words(0, 0).integers(2**63))}
    assert len(set(firsts)) == 20
    assert not others & set(firsts)


def test_textures_are_varied():
    textures = draw_textures(120, (64, 64), seed=1).astype(float)
    spread = textures.std(axis=(1, 2)).mean(axis=1)
    brightness = textures.mean(axis=(1, 2, 3))
    colour = np.abs(textures - textures.mean(axis=3, keepdims=True)).mean(axis=(1, 2, 3))
    assert (spread > 2).mean() > 0.98, "all but a few in a thousand show something"
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


def test_load_reads_subfolders_and_passes_over_the_unreadable(tmp_path: Path, caplog):
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "deep/b.jpg"):
        Image.new("RGB", (20, 10), (200, 30, 30)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("nor this")
    textures = load_textures(tmp_path, SIZE, limit=10, seed=0)
    assert textures.shape == (2, *SIZE, 3)
    assert "1 files in" in caplog.text
    assert len(load_textures(tmp_path, SIZE, limit=1, seed=0)) == 1


def test_loading_holds_the_pictures_once(tmp_path: Path, monkeypatch):
    for index in range(20):
        Image.new("RGB", (8, 8), (index, 30, 30)).save(tmp_path / f"{index}.png")
    monkeypatch.setattr(
        "flawmap.synthesis.textures.read_image", lambda path: np.zeros((200, 200, 3), np.uint8)
    )
    tracemalloc.start()
    textures = load_textures(tmp_path, (200, 200), limit=100, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(textures) == 20
    assert peak < 1.5 * textures.nbytes


def test_load_without_pictures_says_so(tmp_path: Path):
    with pytest.raises(FlawmapError, match="No readable image"):
        load_textures(tmp_path, SIZE, limit=10, seed=0)


def test_the_models_of_a_run_in_folds_share_one_drawn_bank() -> None:
    first, again, other = (texture_bank(None, (8, 8), seed)[0] for seed in (0, 0, 1))
    assert again is first
    assert first.shape == other.shape
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
