"""Images and maps on disk, each named by its content; the database holds only references."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from flawmap.errors import FlawmapError
from flawmap.utils.files import make_folder, write_bytes

_TOP = "flawmap:top"  # the map value of 65535
_LEVELS = 65535


class FileStore:
    """Files below the station's data folder. Names are hex digests: no request's text is in one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)

    def image_path(self, digest: str, suffix: str) -> Path:
        """Return where the image with this SHA-256 is, or would be."""
        return self.folder / "images" / digest[:2] / f"{digest}{suffix}"

    def map_path(self, digest: str, model: str) -> Path:
        """Return where the map is that the model with digest `model` gave for an image."""
        return self.folder / "maps" / digest[:2] / f"{digest}-{model[:16]}.png"

    def thumbnail_path(self, digest: str) -> Path:
        """Return where the small copy of the image with this SHA-256 is, or would be."""
        return self.folder / "thumbnails" / digest[:2] / f"{digest}.webp"

    def put_image(self, digest: str, suffix: str, data: bytes) -> None:
        """Store an image's file as it was received, unless it is there. Raises OSError."""
        _put(self.image_path(digest, suffix), data)

    def put_map(self, digest: str, model: str, anomaly_map: NDArray[np.float32]) -> None:
        """Store a map, unless it is there. Raises OSError."""
        path = self.map_path(digest, model)
        if not path.exists():
            _put(path, encode_map(anomaly_map))

    def read_map(self, digest: str, model: str) -> NDArray[np.float32]:
        """Read a map. Raises FlawmapError if it is missing or damaged."""
        path = self.map_path(digest, model)
        try:
            return decode_map(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FlawmapError(f"Cannot read the map {path}: {error}.") from error


def encode_map(anomaly_map: NDArray[np.float32]) -> bytes:
    """Encode a non-negative map as a 16-bit PNG; one level is 1/65535 of its largest value."""
    top = float(anomaly_map.max()) or 1.0
    levels = np.rint(np.clip(anomaly_map, 0.0, None) * (_LEVELS / top)).astype(np.uint16)
    text, file = PngInfo(), io.BytesIO()
    text.add_text(_TOP, repr(top))
    Image.fromarray(levels).save(file, "PNG", pnginfo=text, compress_level=1)
    return file.getvalue()


def decode_map(data: bytes) -> NDArray[np.float32]:
    """Decode what :func:`encode_map` wrote. Raises ValueError or OSError for anything else."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image.load()
        top = float(getattr(image, "text", {}).get(_TOP, "nan"))
        if not np.isfinite(top) or image.mode not in ("I;16", "I"):
            raise ValueError("it is not a map of a station")
        return np.asarray(image).astype(np.float32) * np.float32(top / _LEVELS)


def _put(path: Path, data: bytes) -> None:
    if not path.exists():
        make_folder(path.parent)
        write_bytes(path, data)
