"""Where an inspector looks: drawn or as a picture, and the score within."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.roi.drawing import draw_region
from flawmap.inspection.roi.mask import Region


def picture(path: Path, inside: tuple[slice, slice], size: tuple[int, int] = (32, 48)) -> Path:
    mask = np.zeros(size, np.uint8)
    mask[inside] = 255
    write_png(path, mask)
    return path


def polygons(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_what_is_shown_but_for_what_is_ignored(tmp_path):
    roi = picture(tmp_path / "roi.png", np.s_[:, 10:40])
    ignore = picture(tmp_path / "ignore.png", np.s_[8:16, :])
    expected = np.zeros((32, 48), np.uint8)
    expected[:, 10:40] = 1
    expected[8:16] = 0
    np.testing.assert_array_equal(draw_region(roi, ignore, (32, 48)), expected)
    np.testing.assert_array_equal(draw_region(None, ignore, (32, 48))[0], np.ones(48))


def test_polygons_are_drawn_at_the_photograph_s_size(tmp_path):
    square = {"size": [64, 96], "polygons": [[[20, 10], [59, 10], [59, 49], [20, 49]]]}
    found = draw_region(polygons(tmp_path / "roi.json", square), None, (32, 48))
    expected = np.zeros((32, 48), np.uint8)
    expected[5:25, 10:30] = 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"size": [4, 4], "polygons": []},
        {"size": [4, 4], "polygons": [[[0, 0], [1, 1]]]},
        {"size": [0, 4], "polygons": [[[0, 0], [1, 1], [1, 0]]]},
        {"size": "large", "polygons": [[[0, 0], [1, 1], [1, 0]]]},
        {"size": [4, 4], "polygons": [[["a", 0], [1, 1], [1, 0]]]},
    ],
)
def test_no_polygons(tmp_path, value):
    with pytest.raises(UsageError, match="holds neither annotations"):
        draw_region(polygons(tmp_path / "roi.json", value), None, (8, 8))


def test_nothing_left_to_look_at(tmp_path):
    everything = picture(tmp_path / "all.png", np.s_[:, :])
    with pytest.raises(FlawmapError, match="empty"):
        draw_region(None, everything, (32, 48))


@pytest.mark.parametrize(("top", "sigma"), [(1, 0.0), (20, 0.0), (1, 2.0), (10_000, 0.0)])
def test_the_score_is_the_read_out_within(top: int, sigma: float):
    rng = np.random.default_rng(1)
    values = rng.random((32, 48)).astype(np.float32)
    inside = np.zeros((32, 48), np.uint8)
    inside[4:20, 6:30] = 1
    region = Region.of(inside, {"top_pixels": top, "score_sigma": sigma})
    masked, score = region.read_out(values)
    np.testing.assert_array_equal(masked, values * inside)
    blurred = ndimage.gaussian_filter(masked, sigma, mode="nearest") if sigma else masked
    expected = np.sort(blurred[4:20, 6:30].ravel())[::-1][:top].mean()
    assert score == pytest.approx(float(expected), rel=1e-5)


def test_nothing_outside_changes_anything():
    rng = np.random.default_rng(2)
    inside = np.zeros((32, 48), np.uint8)
    inside[4:20, 6:30] = 1
    region = Region.of(inside, {"top_pixels": 5, "score_sigma": 1.5})
    one, other = rng.random((2, 32, 48)).astype(np.float32)
    other = np.where(inside, one, other)
    assert region.read_out(one)[1] == region.read_out(other)[1]


def test_as_it_was_drawn_and_at_every_size_of_a_map(tmp_path):
    roi = picture(tmp_path / "roi.png", np.s_[:, 24:])
    drawn = draw_region(roi, None)
    assert drawn.shape == (32, 48)
    region = Region.of(drawn, {})
    for shape in ((32, 48), (64, 96), (7, 10)):
        inside = region.inside(shape)
        assert inside.shape == shape
        assert not inside[:, : shape[1] // 2].any()
        assert inside[:, shape[1] // 2 :].all()
        assert region.inside(shape) is inside, "drawn once"
    assert region.read_out(np.ones((7, 10), np.float32))[0].sum() == 35


def test_a_region_smaller_than_a_map_s_pixel_is_still_looked_at(tmp_path):
    drawn = draw_region(picture(tmp_path / "roi.png", np.s_[100:101, 200:201], (300, 400)), None)
    inside = Region.of(drawn, {}).inside((30, 40))
    assert inside.any()
    assert inside[9:12, 18:22].sum() == inside.sum()


def test_a_huge_picture_is_kept_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr("flawmap.inspection.roi.drawing._MOST_PIXELS", 400)
    roi = picture(tmp_path / "roi.png", np.s_[:, 24:])
    square = {"size": [64, 96], "polygons": [[[48, 0], [96, 0], [96, 64], [48, 64]]]}
    for path in (roi, polygons(tmp_path / "roi.json", square)):
        drawn = draw_region(path, None)
        assert drawn.shape == (16, 24)
        assert drawn[:, 13:].all()
        assert not drawn[:, :11].any()


def test_nothing_named_to_look_at():
    with pytest.raises(UsageError, match="give one of them"):
        draw_region(None, None)
