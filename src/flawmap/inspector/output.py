"""What is written of an inspected image: a JSON line, and pictures."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from flawmap.files import make_folder, replacing, write_bytes
from flawmap.images import write_png
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.pipeline import Inspected

_OPACITY = 0.7


def line_of(result: Inspected) -> dict[str, Any]:
    """The object of ``predict --json``."""
    if result.inspection is None:
        return {"path": str(result.path), "error": result.error}
    seen = result.inspection
    return {
        "path": str(result.path),
        "score": seen.score,
        "p_value": seen.p_value,
        "verdict": seen.verdict,
        "defects": [asdict(defect) | {"box": list(defect.box)} for defect in seen.defects],
        "milliseconds": round(seen.milliseconds, 3),
    }


def write_pictures(place: Path, result: Inspected, inspector: Inspector) -> None:
    """Overlay, mask and raw map of one image."""
    from flawmap.report.colour import PREDICTED, outline, overlay

    assert result.image is not None
    assert result.inspection is not None
    make_folder(place.parent)
    size = (result.image.shape[0], result.image.shape[1])
    threshold = inspector.manifest.calibration.pixel.value
    anomaly_map = resize_map(result.inspection.anomaly_map, size)
    mask = (anomaly_map > threshold).astype(np.uint8)
    heat = overlay(result.image, anomaly_map, threshold, opacity=_OPACITY)
    write_png(_beside(place, "_overlay.png"), outline(heat, mask, PREDICTED))
    write_png(_beside(place, "_mask.png"), mask * np.uint8(255))
    buffer = io.BytesIO()
    np.save(buffer, result.inspection.anomaly_map)
    write_bytes(_beside(place, "_map.npy"), buffer.getvalue())


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
