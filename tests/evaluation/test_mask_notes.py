"""What evaluation says of masks that are probably not meant so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.data.layouts import Sample
from flawmap.data.masks.annotations import AnnotatedImage
from flawmap.data.masks.decoding import read_mask
from flawmap.evaluation.mask_notes import MaskNotes

SIZE = (20, 30)


def mask(kind: str) -> np.ndarray:
    found = np.zeros(SIZE, np.uint8)
    match kind:
        case "full":
            found[:] = 1
        case "inverted":
            found[:] = 1
            found[5:12, 8:20] = 0
        case "large":
            found[2:19, 1:29] = 1
        case "at the border":
            found[:, :12] = 1
        case "right":
            found[5:12, 8:20] = 1
    return found


def lines(tmp_path: Path, *kinds: str, region: np.ndarray | None = None) -> list[str]:
    notes = MaskNotes()
    for n, kind in enumerate(kinds):
        path = tmp_path / f"{n}.png"
        write_png(path, mask(kind) * 255)
        notes.add(Sample(path, "defective", "x", path), mask(kind), region)
    return list(notes.lines())


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "mark nothing: 2, such as .*0.png; draw the defects"),
        ("full", "mark the whole image: 2, such as .*0.png; draw the defect alone"),
        ("inverted", "probably inverted: .*: 2, such as .*0.png; invert them"),
    ],
)
def test_one_line_a_kind_with_count_and_example(tmp_path: Path, kind: str, says: str) -> None:
    (line,) = lines(tmp_path, kind, kind, "right", "large", "at the border")
    assert len(line.splitlines()) == 1
    assert re.search(says, line)


def test_masks_as_they_are_meant(tmp_path: Path) -> None:
    assert lines(tmp_path, "right", "large", "at the border") == []
    notes = MaskNotes()
    notes.add(Sample(tmp_path / "a.png", "defective", "x"), None, None)
    notes.add(Sample(tmp_path / "a.png", "good"), mask("empty"), None)
    assert list(notes.lines()) == []


def test_outside_the_region_of_interest(tmp_path: Path) -> None:
    region = np.zeros(SIZE, bool)
    region[:, 25:] = True
    (line,) = lines(tmp_path, "right", "at the border", "large", region=region)
    assert "mark nothing within the region of interest: 2, such as" in line
    assert line.endswith("these images count as good in the metrics, and in no rate of verdicts.")


def test_a_mask_smaller_than_a_pixel_of_the_map(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.eye(200, dtype=np.uint8) * 255)
    notes = MaskNotes()
    sample = Sample(tmp_path / "a.png", "defective", "x", tmp_path / "a.png")
    notes.add(sample, np.zeros(SIZE, np.uint8), None)
    (line,) = notes.lines()
    assert line.startswith("Masks that mark less than a pixel of the anomaly map: 1")


def test_points_are_counted(tmp_path: Path) -> None:
    shapes = [{"label": "x", "shape_type": "point", "points": [[1, 1]]}] * 3
    shapes.append({"label": "x", "shape_type": "a\nb", "points": [[1, 1]]})
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes}))
    notes = MaskNotes()
    source = AnnotatedImage(tmp_path / "a.json")
    notes.add(Sample(tmp_path / "a.png", "defective", "x", source), mask("empty"), None)
    empty, points = notes.lines()
    assert "mark nothing: 1" in empty
    assert "left out (3 point, 1 a\\nb), such as in" in points


def test_an_annotated_defect_smaller_than_a_pixel_of_the_map(tmp_path: Path) -> None:
    shape = {"label": "x", "shape_type": "rectangle", "points": [[1, 1], [2, 2]]}
    (tmp_path / "a.json").write_text(json.dumps({"shapes": [shape]}))
    notes = MaskNotes()
    source = AnnotatedImage(tmp_path / "a.json")
    notes.add(Sample(tmp_path / "a.png", "defective", "x", source), mask("empty"), None)
    (line,) = notes.lines()
    assert line.startswith("Masks that mark less than a pixel of the anomaly map: 1")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """A plain folder of the product's missing parts, with masks of 0/255."""
    root = tmp_path_factory.mktemp("plain")
    for path in sorted((tiny_data / "ground_truth").rglob("*_mask.png"))[:3]:
        name = path.name.replace("_mask", "")
        image = tiny_data / "test" / path.parent.name / name
        (root / "masks").mkdir(exist_ok=True)
        (root / "defective").mkdir(exist_ok=True)
        (root / "masks" / f"{path.parent.name}{name}").write_bytes(path.read_bytes())
        (root / "defective" / f"{path.parent.name}{name}").write_bytes(image.read_bytes())
    good = tiny_data / "test" / "good"
    (root / "good").mkdir()
    for path in good.glob("*.png"):
        (root / "good" / path.name).write_bytes(path.read_bytes())
    return root


def copied(truth: Path, root: Path) -> Path:
    for kind in ("good", "defective"):
        (root / kind).mkdir(parents=True)
        for path in (truth / kind).iterdir():
            (root / kind / path.name).write_bytes(path.read_bytes())
    return root


def as_labels(masks: dict[str, np.ndarray], root: Path) -> None:
    for name, one in masks.items():
        columns = 1 + np.arange(one.shape[1]) * 40 // one.shape[1]
        (root / "masks").mkdir(exist_ok=True)
        write_png(root / "masks" / name, (one * columns[None]).astype(np.uint8))


def as_alpha(masks: dict[str, np.ndarray], root: Path) -> None:
    for name, one in masks.items():
        (root / "masks").mkdir(exist_ok=True)
        white = np.full_like(one, 255)
        image = Image.fromarray(np.dstack([white, 0 * white, 0 * white, one * 255]))
        image.save(root / "masks" / name)


def as_coco(masks: dict[str, np.ndarray], root: Path) -> None:
    images, annotations = [], []
    for n, (name, one) in enumerate(masks.items()):
        images.append({"id": n, "file_name": name, "height": one.shape[0], "width": one.shape[1]})
        flat = one.T.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
        counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        runs = {"size": list(one.shape), "counts": counts}
        annotations.append({"id": n, "image_id": n, "segmentation": runs})
    value = {"images": images, "annotations": annotations, "categories": []}
    (root / "annotations.json").write_text(json.dumps(value))


def as_labelme(masks: dict[str, np.ndarray], root: Path) -> None:
    for name, one in masks.items():
        shapes = []
        for y in np.flatnonzero(one.any(1)).tolist():  # a rectangle for every run of a row
            edges = np.flatnonzero(np.diff(np.pad(one[y].astype(int), 1))).tolist()
            for left, right in zip(edges[::2], edges[1::2], strict=True):
                corners = [[left, y], [right, y + 1]]
                shapes.append({"label": "x", "shape_type": "rectangle", "points": corners})
        value = {"shapes": shapes, "imageHeight": one.shape[0], "imageWidth": one.shape[1]}
        (root / "defective" / name).with_suffix(".json").write_text(json.dumps(value))


def test_the_same_metrics_from_every_kind_of_mask(
    run_copy: Path, truth: Path, tmp_path: Path
) -> None:
    expected = flawmap.evaluate(run_copy, truth).metrics
    masks = {path.name: read_mask(path, None) for path in (truth / "masks").iterdir()}
    assert expected["pixel_ap"] is not None
    for n, kind in enumerate((as_labels, as_alpha, as_coco, as_labelme)):
        kind(masks, copied(truth, tmp_path / str(n)))
        found = flawmap.evaluate(run_copy, tmp_path / str(n))
        assert found.metrics["pixel_ap"] == pytest.approx(expected["pixel_ap"], rel=0.02), kind
        assert found.mask_notes == ()


def test_evaluation_says_so_once(run_copy: Path, truth: Path, tmp_path: Path) -> None:
    root = copied(truth, tmp_path / "data")
    (root / "masks").mkdir()
    for path in (truth / "masks").iterdir():
        write_png(root / "masks" / path.name, 255 * (1 - read_mask(path, None)))
    found = flawmap.evaluate(run_copy, root, json_file=tmp_path / "metrics.json")
    (line,) = found.mask_notes
    assert "probably inverted: they mark most of the image and its border: 3" in line
    assert found.warnings.count(line) == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["notes"]["masks"] == line
