"""Drawings of a region of interest: every kind of file, and shapes that do not fit the images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.roi.drawing import draw_region, sizes_of
from flawmap.inspection.roi.mask import read_region, region_file
from flawmap.utils.files import digest

SIZE = (48, 64)
BOX = np.zeros(SIZE, np.uint8)
BOX[8:40, 16:56] = 1
CORNERS = [[16, 8], [56, 8], [56, 40], [16, 40]]
FLAT = [side for corner in CORNERS for side in corner]
RED, BLACK = np.uint8([255, 0, 0]), np.uint8([0, 0, 0])


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def saved(path: Path, array: np.ndarray, palette: list[int] | None = None) -> Path:
    image = Image.fromarray(array, "P") if palette else Image.fromarray(array)
    if palette:
        image.putpalette(palette)
    image.save(path)
    return path


def labelme(**more: Any) -> dict[str, Any]:
    shape = {"label": "roi", "shape_type": "polygon", "points": CORNERS}
    return {"shapes": [shape], "imageHeight": SIZE[0], "imageWidth": SIZE[1], **more}


def coco(*names: str) -> dict[str, Any]:
    images = [
        {"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
        for n, name in enumerate(names)
    ]
    return {"images": images, "annotations": [{"id": 1, "image_id": 0, "segmentation": [FLAT]}]}


def via(*names: str) -> dict[str, Any]:
    shape = {"name": "rect", "x": 16, "y": 8, "width": 40, "height": 32}
    return {name: {"filename": name, "regions": [{"shape_attributes": shape}]} for name in names}


PICTURES = {
    "white": (BOX * 255, None),
    "label": (BOX * 7, None),
    "red": (np.where(BOX[..., None], RED, BLACK), None),
    "alpha": (np.dstack([np.full((*SIZE, 3), 90, np.uint8), BOX * 255]), None),
    "palette": (BOX, [255, 255, 255, 0, 200, 0]),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_region_in_every_encoding_of_masks(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / "roi.png", *PICTURES[kind])
    np.testing.assert_array_equal(draw_region(path, None), BOX)
    np.testing.assert_array_equal(draw_region(None, path), 1 - BOX)


@pytest.mark.parametrize("value", [labelme(), coco("a.png"), coco("a.png", "b.png"), via("a.png")])
def test_a_region_drawn_in_a_labelling_tool(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path / "roi.json", value)
    np.testing.assert_array_equal(draw_region(path, None, images=[SIZE]), BOX)
    half = draw_region(None, path, (24, 32), [SIZE])
    np.testing.assert_array_equal(half, 1 - BOX[::2, ::2])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (via("a.png", "b.png"), "shapes of 2 images; export the one"),
        (via("a.png"), "states no size of its image"),
        (labelme(imageHeight=10**6, imageWidth=10**6), "of 1000000 x 1000000 pixels"),
        (labelme(shapes=[]), "marks nothing"),
        ({"size": [10**6, 10**6], "polygons": [CORNERS]}, "holds neither annotations"),
        ({"size": [9, 9], "polygons": [[[1e300, 0], [1, 1], [0, 1]]]}, "holds neither annotations"),
    ],
)  # fmt: skip
def test_annotations_that_show_no_region(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(FlawmapError, match=message):
        draw_region(written(tmp_path / "roi.json", value), None)


@pytest.mark.parametrize(
    ("images", "fits"),
    [
        ([SIZE], True),
        ([(480, 640), (96, 128)], True),
        ([(1001, 1334)], True),
        ([(64, 48)], False),
        ([(640, 480)], False),
        ([(480, 480)], False),
        ([SIZE, SIZE, (480, 700)], False),
    ],
)
@pytest.mark.parametrize("size", [None, (32, 32)])
@pytest.mark.parametrize("kind", ["image", "labelme", "polygons"])
def test_the_shape_of_the_images(
    tmp_path: Path, images: list[Any], fits: bool, size: Any, kind: str
) -> None:
    path = tmp_path / "roi.json"
    if kind == "image":
        path = saved(tmp_path / "roi.png", BOX * 255)
    else:
        own = {"size": [*SIZE], "polygons": [CORNERS]}
        written(path, labelme() if kind == "labelme" else own)
    for roi, ignore in ((path, None), (None, path), (path, path)):
        if fits and (roi is None or ignore is None):
            assert draw_region(roi, ignore, size, images).any()
        elif not fits:
            height, width = images[-1]
            says = rf"64 x 48 pixels, whose shape differs from .* 1 of .*{width} x {height} pixels"
            with pytest.raises(UsageError, match=says):
                draw_region(roi, ignore, size, images)


def test_nothing_to_look_at_says_which_file(tmp_path: Path) -> None:
    black, white = saved(tmp_path / "b.png", BOX * 0), saved(tmp_path / "w.png", BOX * 0 + 255)
    box = saved(tmp_path / "box.png", BOX * 255)
    for roi, ignore, says in (
        (black, None, r"empty: .*b\.png marks nothing"),
        (None, white, r"empty: .*w\.png marks the whole image"),
        (box, white, r"empty: .*w\.png marks the whole image"),
        (box, box, r"empty: .*box\.png marks all that .*box\.png marks"),
    ):
        with pytest.raises(FlawmapError, match=says):
            draw_region(roi, ignore)


def test_a_large_plain_drawing_is_read(tmp_path: Path) -> None:
    large = Image.new("1", (8000, 6000))
    large.paste(1, (0, 0, 4000, 6000))
    large.save(tmp_path / "roi.png")
    assert (tmp_path / "roi.png").stat().st_size < 100_000
    found = draw_region(tmp_path / "roi.png", None, (60, 80), [(6000, 8000)])
    np.testing.assert_array_equal(found, np.repeat([[1, 0]], [40, 40], axis=1).repeat(60, axis=0))


def test_sizes_are_those_of_upright_images(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    image.save(tmp_path / "b.png", exif=exif)
    image.save(tmp_path / "c.tif", tiffinfo={0x0112: 6})
    image.save(tmp_path / "d.webp")
    (tmp_path / "e.png").write_text("no image")
    paths = sorted(tmp_path.iterdir())
    found = sizes_of(paths)
    assert found == ((30, 20), (30, 20), (30, 20), (20, 30))
    assert found == tuple(
        flawmap.data.image_io.images.read_image(path).shape[:2] for path in paths[:4]
    )


def test_the_run_refuses_another_shape_and_stays_as_it_was(run_copy: Path, tmp_path: Path) -> None:
    before = (run_copy / "manifest.json").read_bytes()
    wide = saved(tmp_path / "wide.png", BOX * 255)
    with pytest.raises(
        UsageError, match=r"64 x 48 pixels, whose shape differs from that of (\d+) of the \1 images"
    ):
        flawmap.regions(run_copy, roi=wide)
    assert (run_copy / "manifest.json").read_bytes() == before
    said: list[str] = []
    half = np.zeros((40, 40), np.uint8)
    half[:, :10] = 255
    flawmap.regions(run_copy, roi=saved(tmp_path / "half.png", half), say=said.append)
    assert said == ["The region of interest is 25.0% of the image."]


@pytest.mark.posix
def test_a_region_file_that_is_a_pipe_or_too_large(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / region_file("a" * 64)
    os.mkfifo(path)
    with pytest.raises(FlawmapError, match=r"Cannot read .*: Not a regular file"):
        read_region(tmp_path, "a" * 64, None)
    path.unlink()
    write_png(path, BOX)
    sha256 = digest(path)
    path.rename(tmp_path / region_file(sha256))
    np.testing.assert_array_equal(read_region(tmp_path, sha256, None), BOX)
    monkeypatch.setattr("flawmap.inspection.roi.mask._MOST_BYTES", 10)
    with pytest.raises(FlawmapError, match=r"Cannot read .*: More than"):
        read_region(tmp_path, sha256, None)
