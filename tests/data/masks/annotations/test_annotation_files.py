"""Files of annotations: every shape of every tool, and hostile ones."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawmap.data.image_io.images import ImageError, encode_png
from flawmap.data.masks.annotations import AnnotatedImage, left_out
from flawmap.data.masks.annotations.source import _loaded
from flawmap.data.masks.decoding import read_mask

SIZE = (60, 80)
BOX = np.zeros(SIZE, bool)
BOX[10:30, 20:50] = True
CORNERS = [[20, 10], [50, 10], [50, 30], [20, 30]]
FLAT = [float(side) for corner in CORNERS for side in corner]
Y, X = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
DISC = (X - 40) ** 2 + (Y - 30) ** 2 < 100
ELLIPSE = ((X - 40) / 20) ** 2 + ((Y - 30) / 10) ** 2 < 1
LINE = (Y >= 27.5) & (Y < 32.5) & (X >= 17.5) & (X < 62.5)


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def labelme(*shapes: dict[str, Any], size: tuple[int, int] | None = SIZE) -> dict[str, Any]:
    height, width = size or (None, None)
    return {
        "version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png",
        "imageData": None, "imageHeight": height, "imageWidth": width,
    }  # fmt: skip


def shape(kind: str | None, points: Any, label: str = "crack", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, **more}


def coco(*annotations: dict[str, Any], size: tuple[int, int] = SIZE) -> dict[str, Any]:
    images = [
        {"id": 7, "file_name": "b.png", "height": 9, "width": 9},
        {"id": 3, "file_name": "sub/a.png", "height": size[0], "width": size[1]},
    ]
    numbered = [
        {"id": n, "image_id": 3, "category_id": 1, **one} for n, one in enumerate(annotations)
    ]
    categories = [{"id": 1, "name": "crack"}, {"id": 2, "name": "__ignore__"}]
    return {"images": images, "annotations": numbered, "categories": categories}


def via(*shapes: dict[str, Any], kind: str = "project") -> dict[str, Any]:
    regions: Any = [
        {"shape_attributes": one, "region_attributes": {"type": "crack"}} for one in shapes
    ]
    if kind == "1":
        regions = {str(n): one for n, one in enumerate(regions)}
    images = {
        "a.png123": {"filename": "a.png", "size": 123, "regions": regions, "file_attributes": {}}
    }
    if kind == "project":
        return {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}}
    return images


def lengths(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return [int(n) for n in np.diff(np.concatenate([[0], edges]))]


def compressed(counts: list[int]) -> str:
    """As `rleToString` of pycocotools."""
    text = ""
    for n, count in enumerate(counts):
        number = count - counts[n - 2] if n > 2 else count
        more = True
        while more:
            digit = number & 31
            number >>= 5
            more = number != (-1 if digit & 16 else 0)
            text += chr((digit | 32 if more else digit) + 48)
    return text


RUNS = lengths(DISC)
PIXELS = base64.b64encode(encode_png(np.full((20, 30), 255, np.uint8))).decode()
CASES: dict[str, tuple[Any, str, np.ndarray]] = {
    "labelme polygon": (labelme(shape("polygon", CORNERS)), "", BOX),
    "labelme of old": (labelme(shape(None, CORNERS)), "", BOX),
    "labelme rectangle": (labelme(shape("rectangle", [[50, 30], [20, 10]])), "", BOX),
    "labelme rectangle of 4": (labelme(shape("rectangle", CORNERS)), "", BOX),
    "labelme circle": (labelme(shape("circle", [[40, 30], [46, 38]])), "", DISC),
    "labelme line": (labelme(shape("line", [[20, 30], [60, 30]])), "", LINE),
    "labelme linestrip": (labelme(shape("linestrip", [[20, 30], [40, 30], [60, 30]])), "", LINE),
    "labelme mask": (labelme(shape("mask", [[20, 10], [49, 29]], mask=PIXELS)), "", BOX),
    "labelme without size": (labelme(shape("polygon", CORNERS), size=None), "", BOX),
    "labelme two": (
        labelme(shape("polygon", CORNERS), shape("circle", [[40, 30], [46, 38]])), "", BOX | DISC,
    ),
    "labelme ignored": (labelme(shape("polygon", CORNERS, "__ignore__")), "", BOX & False),
    "labelme none": (labelme(), "", BOX & False),
    "coco polygon": (coco({"segmentation": [FLAT], "iscrowd": 0}), "sub/a.png", BOX),
    "coco polygons": (coco({"segmentation": [FLAT[:6], [*FLAT[4:], *FLAT[:2]]]}), "sub/a.png", BOX),
    "coco runs": (
        coco({"segmentation": {"size": [*SIZE], "counts": RUNS}, "iscrowd": 1}), "sub/a.png", DISC,
    ),
    "coco compressed runs": (
        coco({"segmentation": {"size": [*SIZE], "counts": compressed(RUNS)}}), "sub/a.png", DISC,
    ),
    "coco box": (coco({"bbox": [20, 10, 30, 20], "segmentation": []}), "sub/a.png", BOX),
    "coco ignored": (coco({"segmentation": [FLAT], "category_id": 2}), "sub/a.png", BOX & False),
    **{
        f"via {kind} {name}": (via({"name": name, **one}, kind=kind), "a.png", expected)
        for kind in ("project", "export", "1")
        for name, one, expected in (
            ("polygon", {"all_points_x": FLAT[::2], "all_points_y": FLAT[1::2]}, BOX),
            ("rect", {"x": 20, "y": 10, "width": 30, "height": 20}, BOX),
            ("circle", {"cx": 40, "cy": 30, "r": 10}, DISC),
            ("ellipse", {"cx": 40, "cy": 30, "rx": 20, "ry": 10, "theta": 0}, ELLIPSE),
            ("ellipse", {"cx": 40, "cy": 30, "rx": 10, "ry": 20, "theta": np.pi / 2}, ELLIPSE),
            ("polyline", {"all_points_x": [20, 60], "all_points_y": [30, 30]}, LINE),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_shape_covers_its_pixels(tmp_path: Path, case: str) -> None:
    value, image, expected = CASES[case]
    source = AnnotatedImage(written(tmp_path / "a.json", value), image)
    found = read_mask(source, None, image_size=SIZE).astype(bool)
    assert (found != expected).sum() <= 0.01 * expected.sum()
    small = read_mask(source, (30, 40), image_size=SIZE)
    assert abs(int(small.sum()) - expected.sum() / 4) <= 0.05 * expected.sum()
    assert deepcopy(source) == source
    assert hash(source) == hash(AnnotatedImage(tmp_path / "a.json", image))


def test_what_lies_outside_is_cut_off(tmp_path: Path) -> None:
    far = [[-1e6, -1e6], [1e6, -1e6], [1e6, 30], [-1e6, 30]]
    source = AnnotatedImage(written(tmp_path / "a.json", labelme(shape("polygon", far))))
    found = read_mask(source, None, image_size=SIZE)
    assert found[:30].all()
    assert not found[30:].any()


def test_a_hairline_is_not_lost(tmp_path: Path) -> None:
    thin = [[10, 20.1], [60, 20.1], [60, 20.2], [10, 20.2]]
    source = AnnotatedImage(written(tmp_path / "a.json", labelme(shape("polygon", thin))))
    found = read_mask(source, None, image_size=SIZE)
    assert found[20, 10:60].all()
    assert found.sum() <= 52


def test_shapes_without_area_are_counted(tmp_path: Path) -> None:
    value = labelme(
        shape("point", [[3, 3]]), shape("points", [[3, 3], [4, 4]]), shape("polygon", CORNERS)
    )
    source = AnnotatedImage(written(tmp_path / "a.json", value))
    assert left_out(source) == {"point": 1, "points": 1}
    np.testing.assert_array_equal(read_mask(source, None, image_size=SIZE), BOX)


def test_an_image_of_another_size(tmp_path: Path) -> None:
    source = AnnotatedImage(written(tmp_path / "a.json", labelme(shape("polygon", CORNERS))))
    with pytest.raises(
        ImageError, match=r"a\.json: drawn on an image of another size \(80 x 60, image 60 x 80"
    ):
        read_mask(source, None, image_size=SIZE[::-1])


def test_a_mark_at_the_start_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps(labelme(shape(None, CORNERS))), encoding="utf-8-sig"
    )
    assert read_mask(AnnotatedImage(tmp_path / "a.json"), None, image_size=SIZE).sum() == BOX.sum()


def nested(depth: int) -> str:
    return '{"shapes": ' + "[" * depth + "]" * depth + "}"


HOSTILE: dict[str, Any] = {
    "no JSON": "{",
    "deep": nested(200_000),
    "NaN": json.dumps(labelme(shape(None, [[float("nan"), 1], *CORNERS]))),
    "infinite": '{"shapes": [{"points": [[1e999, 0], [1, 1], [2, 0]]}]}',
    "far": labelme(shape(None, [[1e300, 1], *CORNERS])),
    "a large number": labelme(shape(None, [[10**400, 1], *CORNERS])),
    "text": labelme(shape(None, [["1", 1], *CORNERS])),
    "two corners": labelme(shape(None, CORNERS[:2])),
    "no points": labelme({"label": "x"}),
    "no shapes": labelme("x"),  # type: ignore[arg-type]
    "no picture": labelme(shape("mask", CORNERS[:2], mask="AAAA")),
    "short runs": coco({"segmentation": {"size": [*SIZE], "counts": [1, 2]}}),
    "negative runs": coco({"segmentation": {"size": [*SIZE], "counts": [-1, 4801]}}),
    "wrapping runs": coco({"segmentation": {"size": [*SIZE], "counts": [2**62] * 4 + [4800]}}),
    "runs of another image": coco({"segmentation": {"size": [4, 4], "counts": [8, 8]}}),
    "huge runs": coco({"segmentation": {"size": [10**6, 10**6], "counts": [10**12]}}),
    "no counts": coco({"segmentation": {"size": [*SIZE], "counts": "\x00"}}),
    "an odd polygon": coco({"segmentation": [[1, 2, 3]]}),
    "an image without a name": {"images": [{"id": 1}], "annotations": []},
    "a region without a shape": via({"name": "rect"}),
    "nothing": "",
    "a number": "3",
    "another document": {"score": 1},
    "no text": "\ud800",
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_one_line(tmp_path: Path, case: str) -> None:
    value, path = HOSTILE[case], tmp_path / "a.json"
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    image = "sub/a.png" if '"images"' in text else "a.png" if "filename" in text else ""
    with pytest.raises(ImageError, match=r"a\.json") as caught:
        read_mask(AnnotatedImage(path, image), None, image_size=SIZE)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300 + len(str(path))


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.json", labelme())
    monkeypatch.setattr("flawmap.data.masks.annotations.source.MAX_BYTES", 20)
    for one in (path, tmp_path, tmp_path / "missing.json"):
        with pytest.raises(ImageError, match="read"):
            read_mask(AnnotatedImage(one), None, image_size=SIZE)


def test_too_many_edges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawmap.data.masks.annotations.shapes._MOST_CROSSINGS", 30)
    source = AnnotatedImage(written(tmp_path / "a.json", labelme(shape(None, CORNERS))))
    with pytest.raises(ImageError, match="too many edges"):
        read_mask(source, None, image_size=SIZE)


JUNK = [None, -1, 1e308, "x\n\x1b", [], {}, [[]], [1, 2, 3, 4]]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a document may be spoiled: every value in it."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def spoiled(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = spoiled(value[path[0]], path[1:], junk)
    return copy


@pytest.mark.parametrize("case", ["labelme circle", "coco polygon", "via 1 ellipse"])
def test_a_value_spoiled_anywhere_is_a_mask_or_one_line(tmp_path: Path, case: str) -> None:
    value, image, _ = CASES[case]
    for place in places(value):
        for junk in JUNK:
            path = written(tmp_path / "a.json", spoiled(value, place, junk))
            _loaded.cache_clear()
            message = ""
            try:
                assert read_mask(AnnotatedImage(path, image), None, image_size=SIZE).shape == SIZE
                message = str(left_out(AnnotatedImage(path, image)))
            except ImageError as error:
                message = str(error)
            assert message.isprintable()
