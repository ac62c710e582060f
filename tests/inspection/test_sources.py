"""Which images a call names: masks, own output and the like are left out, and told once."""

from __future__ import annotations

from pathlib import Path

import pytest

import flawmap
from data.layouts.trees import MASK, plant
from flawmap import FlawmapError, UsageError
from flawmap.inspection.sources import list_images
from flawmap.synthesis.textures import load_textures

PARTS = (
    "a.png deep/er/b.jpg ._a.png sub/.c.png a_mask.png marked/a_overlay.png marked/a_mask.png "
    "marked/a_map.npy ground_truth/x/a.png labels/a_label.png labelled/a.png old.gif c.png.part"
)


def found(inputs, out=None) -> list[str]:
    return [target.name for target in list_images(inputs, out)]


def test_a_folder_is_searched_and_what_is_left_out_is_told_once(tmp_path, caplog):
    plant(tmp_path, PARTS)
    assert found(tmp_path) == ["a", "deep/er/b", "labelled/a"]
    assert [line.split(" left out")[0] for line in caplog.messages] == [
        "2 hidden files or folders",
        "1 partial or temporary file",
        "3 masks of other images",
        "2 images written by flawmap",
        "1 file with endings that flawmap does not read (.gif)",
    ]


def test_masks_named_by_a_pattern_are_left_out_with_a_word(tmp_path, caplog):
    plant(tmp_path, "a.png a_mask.png b.png b_overlay.png")
    assert found(sorted(tmp_path.glob("*.png"))) == ["a", "b", "b_overlay"]
    assert caplog.messages[0].startswith("1 mask of other images left out")
    caplog.clear()
    assert found(str(tmp_path / "a_mask.png")) == ["a_mask"]  # asked for by name
    assert not caplog.messages


def test_the_folder_written_to_is_told(tmp_path, caplog):
    plant(tmp_path, "a.png out/x_overlay.png out/y.png")
    assert found(tmp_path, tmp_path / "out") == ["a"]
    assert caplog.messages[0].startswith("2 images written by flawmap left out")


def test_a_folder_without_images_says_what_it_has(tmp_path):
    plant(tmp_path, "a.heic b.heic")
    with pytest.raises(FlawmapError, match=r"no images in .*2 files with endings .*\.heic"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "a\0.png"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path, name):
    with pytest.raises(UsageError, match="No such image or folder"):
        list_images(tmp_path / name)


def test_text_is_one_path_for_predict(tiny_run, images, monkeypatch):
    monkeypatch.chdir(images.parent)
    lines = flawmap.predict(tiny_run, "images")
    assert len(lines) == 3
    with pytest.raises(UsageError, match="No such image or folder: gone"):
        flawmap.predict(tiny_run, "gone")


def test_textures_are_listed_likewise(tmp_path, caplog):
    plant(tmp_path, {**dict.fromkeys(("a.png", "sub/b.png", "._c.png"), MASK), "x.webm": b""})
    assert len(load_textures(Path(tmp_path), (8, 8), 10, 0)) == 2
    assert len(caplog.messages) == 2
