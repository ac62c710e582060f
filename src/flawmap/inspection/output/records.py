"""What is written of an inspected image: a JSON line, and pictures."""

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
    """The object of ``predict --json``; ``place`` is where pictures and map are written, if so.

    Then ``map`` names the map's file, as seen from the file ``lines``, the photograph's size and
    the graph's own score, which is what judging it again takes. Where the inspector's filters know
    the pixel pitch, areas and lengths are told in mm as well. ``run``, ``precision`` and
    ``backend`` say who wrote the line.
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
    """The line of an image without a verdict."""
    return {"path": str(path), "error": error, **_writer(inspector)}


def _writer(inspector: Inspector) -> Line:
    wrote = {
        "run": inspector.run_id,
        "precision": inspector.precision,
        "backend": inspector.graph.name,
    }
    return wrote | region_of(inspector.manifest)


def region_of(manifest: Manifest) -> Line:
    """What a line says of the region within which its score was taken; nothing without one."""
    region = region_id(manifest)
    return {} if region is None else {"region": region}


def verdict_of(seen: Inspection, filters: Filters) -> Line:
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


def write_pictures(
    place: Path, result: Inspected, inspector: Inspector, inputs: Container[str] = ()
) -> None:
    """Overlay and mask of one image, and the graph's own map of it.

    The image itself becomes the overlay. ``inputs``: absolute paths that must not be written.
    Raises FlawmapError where a file cannot be written or one that is not ours is in the way.
    """
    assert result.image is not None
    assert result.inspection is not None
    make_folder(place.parent)
    stored, overlay, mask = (map_file(place), _beside(place, "_overlay.png"), mask_file(place))
    _refuse_replacing(stored, (overlay, mask), inputs)
    buffer = io.BytesIO()
    np.save(buffer, result.inspection.raw_map)
    write_bytes(stored, buffer.getvalue())  # first: by it the others are known as ours
    write_overlay_and_mask(
        overlay,
        mask,
        result.image,
        result.inspection,
        inspector.manifest.calibration.pixel.value,
        drop=inspector.manifest.filters.drop,
    )


def _refuse_replacing(stored: Path, pictures: tuple[Path, ...], inputs: Container[str]) -> None:
    """FlawmapError for an image that predict did not write, such as a mask drawn by hand."""
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
    except OSError:  # a name too long, as writing it will say
        return False


def map_file(place: Path) -> Path:
    """Where an image's map lies."""
    return _beside(place, "_map.npy")


def mask_file(place: Path) -> Path:
    """Where an image's mask lies."""
    return _beside(place, "_mask.png")


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
