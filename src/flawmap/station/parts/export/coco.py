"""Export of parts in the COCO format of object detection: images, defects, categories.

Defects that people drew stand in for the inspector's on the same part; the latter have the
category `found by flawmap` and a box only. Source: cocodataset.org, "Data format".
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from sqlalchemy import Row, select

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import DrawnDefect, Part
from flawmap.station.parts.export.rows import moment_text, pages

FOUND = "found by flawmap"
_IMAGE = (
    Part.id, Part.image, Part.suffix, Part.width, Part.height, Part.received_at, Part.number,
    Part.verdict, Part.decision,
)  # fmt: skip
_DEFECTS = (Part.id, Part.width, Part.height, Part.record)


def coco_text(database: Database, ids: array[int]) -> Iterator[bytes]:
    """Yield a COCO file in pieces. Parts without an image's size are left out, and counted."""
    categories = _categories(database)
    named = [{"id": number, "name": name} for name, number in categories.items()]
    yield f'{{"categories": {json.dumps(named)},\n"images": ['.encode()
    left_out = 0
    separator = ""
    for parts in pages(database, ids, _IMAGE):
        sized = [part for part in parts if part.width and part.height]
        left_out += len(parts) - len(sized)
        if sized:
            yield (separator + ",\n".join(json.dumps(_image(part)) for part in sized)).encode()
            separator = ",\n"
    yield b'],\n"annotations": ['
    numbers, separator = count(1), ""
    for parts in pages(database, ids, _DEFECTS):
        found = [
            {"id": next(numbers), "iscrowd": 0, **annotation}
            for annotation in _annotations(database, parts, categories)
        ]
        if found:
            yield (separator + ",\n".join(json.dumps(one) for one in found)).encode()
            separator = ",\n"
    about = {"description": "parts of a flawmap station", "parts_without_image_size": left_out}
    yield f'],\n"info": {json.dumps(about)}}}\n'.encode()


def _categories(database: Database) -> dict[str, int]:
    with database.read() as session:
        types = session.scalars(select(DrawnDefect.type).distinct().order_by(DrawnDefect.type))
        return {name: number for number, name in enumerate([FOUND, *types], start=1)}


def _image(part: Row[Any]) -> dict[str, Any]:
    return {
        "id": part.id,
        "file_name": f"{part.image}{part.suffix or ''}",
        "width": part.width,
        "height": part.height,
        "date_captured": moment_text(part.received_at),
        "number": part.number,
        "verdict": part.verdict,
        "decision": part.decision,
    }


def _annotations(
    database: Database, parts: Sequence[Row[Any]], categories: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    drawn: dict[int, list[DrawnDefect]] = {}
    ids = [part.id for part in parts]
    query = select(DrawnDefect).where(
        DrawnDefect.part_id.between(ids[0], ids[-1]), DrawnDefect.removed_by.is_(None)
    )
    with database.read() as session:
        for defect in session.scalars(query.order_by(DrawnDefect.id)):
            drawn.setdefault(defect.part_id, []).append(defect)
    for part in parts:
        if not (part.width and part.height):
            continue
        if part.id in drawn:
            for defect in drawn[part.id]:
                if defect.type in categories:  # not one of a type drawn a moment ago
                    yield _drawn(defect, categories[defect.type])
            continue
        for found in part.record.get("defects", ()):
            yield {
                "image_id": part.id,
                "category_id": categories[FOUND],
                "bbox": found["box"],
                "area": found["area"],
                "segmentation": [],
                "score": found["peak"],
            }


def _drawn(defect: DrawnDefect, category: int) -> dict[str, Any]:
    common = {"image_id": defect.part_id, "category_id": category, "area": defect.area}
    if defect.shape == "polygon":
        points = np.asarray(defect.geometry["points"], np.float64)
        low, high = points.min(0), points.max(0)
        box = [*low.tolist(), *(high - low).tolist()]
        return common | {"bbox": box, "segmentation": [points.ravel().tolist()]}
    height, width = defect.geometry["size"]
    mask = np.zeros(height * width, np.uint8)
    for start, length in np.asarray(defect.geometry["runs"]).reshape(-1, 2).tolist():
        mask[start : start + length] = 1
    return common | _mask(mask.reshape(height, width)) | {"iscrowd": 1}


def _mask(mask: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Any]:
    """Return box and run lengths, which COCO counts down the columns, of zeros first."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    values = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(values)) + 1
    edges = np.concatenate([[0], changes, [values.size]])
    counts = np.diff(edges).tolist()
    if values[0]:
        counts = [0, *counts]
    return {
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "segmentation": {"counts": counts, "size": list(mask.shape)},
    }
