"""Parts with images and maps, for tests and the benchmark of reviews."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from station.filling import MODEL, fill

SHAPES = 8  # different images, so that filling is fast


def fill_with_images(
    station: Station, count: int, size: tuple[int, int] = (256, 256), *, flagged: bool = False
) -> list[int]:
    """Add parts with images (height, width) and maps; return their ids.

    With `flagged`, all of them are rejects or to be reviewed, with p-values around 0.01.
    """
    fill(station.database, count)
    rng = np.random.default_rng(0)
    images = [_png(rng, size, index) for index in range(SHAPES)]
    maps = [_map(size, index) for index in range(SHAPES)]
    with station.database.write() as session:
        parts = session.scalars(select(Part).order_by(Part.id)).all()
        for index, part in enumerate(parts):
            assert part.image is not None
            station.files.put_image(part.image, ".png", images[index % SHAPES])
            station.files.put_map(part.image, MODEL, maps[index % SHAPES])
            part.height, part.width = size
            part.has_image = part.has_map = True
            if flagged:
                _flag(part, float(rng.uniform(0.001, 0.03)))
    return [part.id for part in parts]


def _flag(part: Part, p_value: float) -> None:
    verdict = "reject" if p_value <= 0.01 else "review"
    box = [part.width // 3, part.height // 3, part.width // 6, part.height // 8]  # type: ignore[operator]
    area = box[2] * box[3]
    defect = {"box": box, "area": area, "peak": 0.9, "length": 50.0, "mean": 0.7}
    part.verdict, part.p_value, part.score, part.error = verdict, p_value, 1.0 - p_value, None
    part.defects, part.largest_area = 1, area
    part.record = {**part.record, "verdict": verdict, "p_value": p_value, "defects": [defect]}


def _png(rng: np.random.Generator, size: tuple[int, int], index: int) -> bytes:
    """A metal-like plate with a disc whose place depends on the index."""
    height, width = size
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    grey = 150 + 30 * np.sin(rows / height * 7) + rng.normal(0, 4, size)
    centre = (0.5 + 0.03 * np.sin(index), 0.5 + 0.03 * np.cos(index))
    away = np.hypot(rows / height - centre[0], columns / width - centre[1])
    grey = np.where(away < 0.3, grey - 60, grey)
    pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _map(size: tuple[int, int], index: int) -> np.ndarray:
    rows, columns = np.mgrid[: min(size[0], 256), : min(size[1], 256)] / 256
    blob = np.exp(-((rows - 0.4) ** 2 + (columns - 0.4 - 0.01 * index) ** 2) / 0.003)
    return blob.astype(np.float32)
