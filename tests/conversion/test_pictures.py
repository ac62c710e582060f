"""Which pictures an export learns from, and which it is judged by."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from conversion.conftest import HELD_OUT, LEARNED
from flawmap import FlawmapError
from flawmap.conversion.pictures import good_images
from flawmap.framing import Framing
from flawmap.images import write_png
from flawmap.inspector.manifest import Preprocessing
from methods.tiny import SIZE
from training.tiny import tiny_images


def test_it_learns_from_what_was_trained_on_and_is_judged_by_the_rest(striped):
    found = good_images(striped.manifest, None)
    pictures = tiny_images(LEARNED + HELD_OUT)
    assert np.array_equal(found.learn, pictures[:LEARNED])
    assert np.array_equal(found.judge, pictures[LEARNED:])


def test_other_pictures_do_both(striped, tmp_path):
    data = Path(striped.manifest.training.folder)
    (tmp_path / "others" / "good").mkdir(parents=True)
    for index in range(LEARNED, LEARNED + HELD_OUT):
        shutil.copy(data / "good" / f"{index:02}.png", tmp_path / "others" / "good")
    found = good_images(striped.manifest, tmp_path / "others")
    assert found.learn.shape == found.judge.shape == (HELD_OUT, *SIZE, 3)
    shutil.rmtree(tmp_path / "others" / "good")
    shutil.copytree(data / "good", tmp_path / "others" / "good")
    for index in range(LEARNED, LEARNED + HELD_OUT):
        (tmp_path / "others" / "good" / f"{index:02}.png").unlink()
    with pytest.raises(FlawmapError, match=r"no good picture that .* did not learn from"):
        good_images(striped.manifest, tmp_path / "others")


def test_test_pictures_are_never_looked_at(striped, tmp_path):
    data = tmp_path / "product"
    shutil.copytree(Path(striped.manifest.training.folder) / "good", data / "train" / "good")
    (data / "test" / "good").mkdir(parents=True)
    (data / "test" / "bad").mkdir()
    (data / "test" / "good" / "no.png").write_bytes(b"never read")
    (data / "test" / "bad" / "no.png").write_bytes(b"never read")
    assert len(good_images(striped.manifest, data).judge) == HELD_OUT


def test_of_tiled_photographs_it_takes_windows_and_judges_by_the_whole(striped, tmp_path):
    (folder := tmp_path / "large" / "good").mkdir(parents=True)
    photographs = [np.tile(one, (2, 3, 1))[:100, :150] for one in striped.held_out[:3]]
    for index, photograph in enumerate(photographs):
        write_png(folder / f"{index}.png", photograph)
    size = Preprocessing(size=SIZE, fit="tiles", overlap=16)
    manifest = striped.manifest.model_copy(update={"preprocessing": size})
    found = good_images(manifest, folder.parent)
    assert found.learn.shape == found.judge.shape == (3, *SIZE, 3)
    np.testing.assert_array_equal(list(found.photographs), photographs)
    for window, photograph in zip(found.judge, photographs, strict=True):
        canvas = Framing(SIZE, "tiles", 16).lay(photograph)
        windows = [canvas.window(index) for index in range(canvas.layout.count)]
        assert any(np.array_equal(window, one) for one in windows)
