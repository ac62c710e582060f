"""Image files of an inspection: overlay, mask and map."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Container
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.decision import Inspection
from flawmap.inspection.output.lines import map_reference
from flawmap.inspection.output.overlay import write_overlay_and_mask
from flawmap.inspection.record import InspectionRecord, StoredMap
from flawmap.utils.files import make_folder, write_bytes


def write_images(
    place: Path,
    inspection: Inspection,
    manifest: Manifest,
    lines: str | os.PathLike[str] | None,
    inputs: Container[str] = (),
) -> InspectionRecord:
    """Write overlay, mask and raw map; return the record, which refers to the map from ``lines``.

    The inspection holds the image, which itself becomes the overlay. ``inputs``: absolute paths
    that must not be written. Raises FlawmapError if a file cannot be written or would replace one
    not written by flawmap.
    """
    assert inspection.image is not None
    make_folder(place.parent)
    stored, overlay, mask = (map_file(place), _beside(place, "_overlay.png"), mask_file(place))
    _refuse_replacing(stored, (overlay, mask), inputs)
    buffer = io.BytesIO()
    np.save(buffer, inspection.raw_map)
    data = buffer.getvalue()
    write_bytes(stored, data)  # first: it marks the other files as ours
    write_overlay_and_mask(
        overlay,
        mask,
        inspection.image,
        inspection,
        manifest.calibration.pixel.value,
        drop=manifest.filters.drop,
    )
    reference = StoredMap(
        file=map_reference(stored, lines),
        size=inspection.size,
        score=inspection.raw_score,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return inspection.record.model_copy(update={"map": reference})


def _refuse_replacing(stored: Path, images: tuple[Path, ...], inputs: Container[str]) -> None:
    """Raise FlawmapError for an image that predict did not write, such as a hand-drawn mask."""
    foreign = [one for one in images if _exists(one) and not _exists(stored)]
    foreign += [one for one in images if str(one.absolute()) in inputs and _exists(one)]
    if foreign:
        raise FlawmapError(
            f"{foreign[0]} exists and was not written by predict, so it is not replaced. Give "
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


def base_of(stored: Path) -> Path:
    """Return the place of an image's output files by the path of its map."""
    return stored.with_name(stored.name.removesuffix("_map.npy"))


def mask_file(place: Path) -> Path:
    """Return the path of an image's mask."""
    return _beside(place, "_mask.png")


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Resize a mask to ``size`` (height, width), nearest neighbour."""
    from PIL import Image

    if mask.shape == size:
        return mask
    resized = Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(resized, dtype=np.uint8)


def resize_map(anomaly_map: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize an anomaly map to ``size`` (height, width), bilinear."""
    from PIL import Image

    if anomaly_map.shape == size:
        return anomaly_map
    image = Image.fromarray(np.ascontiguousarray(anomaly_map))
    resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(place.name + ending)
