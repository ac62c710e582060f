"""Output of an inspected image: a JSON line, overlay, mask and map."""

from __future__ import annotations

import io
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, region_id
from flawmap.inspection.defects import Defect, Filters
from flawmap.inspection.inspector import Inspection, Inspector
from flawmap.inspection.output.lines import Line, map_reference
from flawmap.inspection.output.overlay import write_overlay_and_mask
from flawmap.inspection.pipeline import Inspected
from flawmap.utils.files import make_folder, write_bytes


def line_of(
    result: Inspected,
    inspector: Inspector,
    place: Path | None = None,
    lines: str | os.PathLike[str] | None = None,
) -> Line:
    """Return the object of ``predict --json``; ``place`` is the base path of output files, if any.

    With a ``place``, ``map`` holds the map's file relative to the file ``lines``, the image's size
    and the model's own score, which is what ``judge`` needs. If the inspector's filters have a
    pixel pitch, areas and lengths are also given in mm. ``run``, ``precision`` and ``backend``
    identify the writer of the line.
    """
    if result.inspection is None:
        return error_line(result.path, result.error or "it could not be inspected", inspector)
    seen = result.inspection
    line = {
        "path": str(result.path),
        **verdict_of(seen, inspector.manifest.filters),
        "milliseconds": round(seen.milliseconds, 3),
        **_writer(inspector),
    }
    if place is not None:
        line["map"] = {
            "file": map_reference(map_file(place), lines),
            "size": list(result.size),
            "score": seen.raw_score,
        }
    return line


def error_line(path: Path, error: str, inspector: Inspector) -> Line:
    """Return the line of an image without a verdict."""
    return {"path": str(path), "error": error, **_writer(inspector)}


def _writer(inspector: Inspector) -> Line:
    wrote = {
        "run": inspector.run_id,
        "precision": inspector.precision,
        "backend": inspector.graph.name,
    }
    return wrote | region_of(inspector.manifest)


def region_of(manifest: Manifest) -> Line:
    """Return a line's entry for the region of its score; empty without a region."""
    region = region_id(manifest)
    return {} if region is None else {"region": region}


def verdict_of(seen: Inspection, filters: Filters) -> Line:
    """Return a line's entries for score, verdict and defects."""
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


def write_pictures(
    place: Path, result: Inspected, inspector: Inspector, inputs: Container[str] = ()
) -> None:
    """Write overlay and mask of an image, and the model's raw map.

    The image array itself becomes the overlay. ``inputs``: absolute paths that must not be written.
    Raises FlawmapError if a file cannot be written or would replace one not written by flawmap.
    """
    assert result.image is not None
    assert result.inspection is not None
    make_folder(place.parent)
    stored, overlay, mask = (map_file(place), _beside(place, "_overlay.png"), mask_file(place))
    _refuse_replacing(stored, (overlay, mask), inputs)
    buffer = io.BytesIO()
    np.save(buffer, result.inspection.raw_map)
    write_bytes(stored, buffer.getvalue())  # first: it marks the other files as ours
    write_overlay_and_mask(
        overlay,
        mask,
        result.image,
        result.inspection,
        inspector.manifest.calibration.pixel.value,
        drop=inspector.manifest.filters.drop,
    )


def _refuse_replacing(stored: Path, pictures: tuple[Path, ...], inputs: Container[str]) -> None:
    """Raise FlawmapError for an image that predict did not write, such as a hand-drawn mask."""
    strange = [one for one in pictures if _exists(one) and not _exists(stored)]
    strange += [one for one in pictures if str(one.absolute()) in inputs and _exists(one)]
    if strange:
        raise FlawmapError(
            f"{strange[0]} is there and was not written by predict: it is not replaced. Give "
            "another folder as --out."
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long; writing will report it
        return False


def map_file(place: Path) -> Path:
    """Return the path of an image's map."""
    return _beside(place, "_map.npy")


def mask_file(place: Path) -> Path:
    """Return the path of an image's mask."""
    return _beside(place, "_mask.png")


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a mask to ``size`` (height, width), nearest neighbour."""
    from PIL import Image

    if mask.shape == size:
        return mask
    picture = Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(picture, dtype=np.uint8)


def resize_map(anomaly_map: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize an anomaly map to ``size`` (height, width), bilinear."""
    from PIL import Image

    if anomaly_map.shape == size:
        return anomaly_map
    picture = Image.fromarray(np.ascontiguousarray(anomaly_map))
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(place.name + ending)
