"""What is written of an inspected image: a JSON line, and pictures."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flawmap.files import make_folder, replacing, write_bytes
from flawmap.images import write_png
from flawmap.inspector.defects import Defect, Filters
from flawmap.inspector.inspector import Inspection, Inspector
from flawmap.inspector.pipeline import Inspected

_OPACITY = 0.7


def line_of(result: Inspected, filters: Filters, place: Path | None = None) -> dict[str, Any]:
    """The object of ``predict --json``; ``place`` is where pictures and map are written, if so.

    Then ``map`` names the map's file, the photograph's size and the graph's own score, which is
    what judging it again takes. Where ``filters`` know the pixel pitch, areas and lengths are told
    in mm as well.
    """
    if result.inspection is None:
        return {"path": str(result.path), "error": result.error}
    seen = result.inspection
    line = {
        "path": str(result.path),
        **verdict_of(seen, filters),
        "milliseconds": round(seen.milliseconds, 3),
    }
    if place is not None:
        line["map"] = {
            "file": str(map_file(place).resolve()),
            "size": list(result.size),
            "score": seen.raw_score,
        }
    return line


def verdict_of(seen: Inspection, filters: Filters) -> dict[str, Any]:
    """What such a line says of an image."""
    return {
        "score": seen.score,
        "p_value": seen.p_value,
        "verdict": seen.verdict,
        "defects": [_described(defect, filters.pixel_pitch) for defect in seen.defects],
    }


def _described(defect: Defect, pixel_pitch: float | None) -> dict[str, Any]:
    told = vars(defect) | {"box": list(defect.box)}
    if pixel_pitch is not None:
        told["area_mm2"] = round(defect.area * pixel_pitch**2, 4)
        told["length_mm"] = round(defect.length * pixel_pitch, 4)
    return told


def write_pictures(place: Path, result: Inspected, inspector: Inspector) -> None:
    """Overlay and mask of one image, and the graph's own map of it."""
    assert result.image is not None
    assert result.inspection is not None
    make_folder(place.parent)
    write_marked(place, result.image, result.inspection, inspector)
    buffer = io.BytesIO()
    np.save(buffer, result.inspection.raw_map)
    write_bytes(map_file(place), buffer.getvalue())


def write_marked(
    place: Path, image: NDArray[np.uint8], seen: Inspection, inspector: Inspector
) -> None:
    """Overlay and mask of one image."""
    from flawmap.report.colour import PREDICTED, outline, overlay

    size = (image.shape[0], image.shape[1])
    threshold = inspector.manifest.calibration.pixel.value
    anomaly_map = resize_map(seen.anomaly_map, size)
    mask = (anomaly_map > threshold).astype(np.uint8)
    if inspector.manifest.filters.drop:
        mask &= resize_mask(ndimage.maximum_filter(seen.mask, 3), size)
    heat = overlay(image, anomaly_map, threshold, opacity=_OPACITY)
    write_png(_beside(place, "_overlay.png"), outline(heat, mask, PREDICTED))
    write_png(_beside(place, "_mask.png"), mask * np.uint8(255))


def map_file(place: Path) -> Path:
    """Where an image's map lies."""
    return _beside(place, "_map.npy")


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Mask at another size (height, width), of the nearest pixels."""
    from PIL import Image

    if mask.shape == size:
        return mask
    picture = Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(picture, dtype=np.uint8)


def resize_map(anomaly_map: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Anomaly map at another size (height, width), bilinear."""
    from PIL import Image

    if anomaly_map.shape == size:
        return anomaly_map
    picture = Image.fromarray(np.ascontiguousarray(anomaly_map))
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(place.name + ending)


@contextmanager
def json_lines(
    target: str | os.PathLike[str] | None,
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one JSON line: to a file (whole or not at all), or to ``-``."""
    if target is None:
        yield lambda line: None
    elif str(target) == "-":
        yield lambda line: _print_line(sys.stdout, line)
    else:
        make_folder(Path(target).parent)
        with replacing(Path(target)) as temporary, temporary.open("w", encoding="utf-8") as file:
            yield lambda line: _print_line(file, line)


def _print_line(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()
