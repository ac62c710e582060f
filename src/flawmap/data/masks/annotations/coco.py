"""COCO: one JSON file for the images of a folder, as written by CVAT, Label Studio, Roboflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flawmap.data.masks.annotations.entry import NO_DEFECT, Entry, stated_size
from flawmap.data.masks.annotations.runs import runs
from flawmap.data.masks.annotations.shapes import NoArea, Shape, number, points, polygon, rectangle


def entries(value: Any) -> dict[str, Entry] | None:
    """Return the images of a COCO file by name; None if the value is not such a file.

    Raises ValueError, KeyError or TypeError if it is damaged.
    """
    if not isinstance(value, dict) or not all(
        isinstance(value.get(key), list) for key in ("images", "annotations")
    ):
        return None
    by_name: dict[str, Entry] = {}
    by_id: dict[Any, Entry] = {}
    for image in value["images"]:
        size = stated_size(image.get("height"), image.get("width"))
        by_id[image["id"]] = by_name.setdefault(str(image["file_name"]), Entry(_parse, size))
    categories = value.get("categories") or []
    no_defect = {one["id"] for one in categories if one.get("name") in NO_DEFECT}
    for annotation in value["annotations"]:
        entry = by_id.get(annotation["image_id"])
        if entry is not None and annotation.get("category_id") not in no_defect:
            entry.raw.append(annotation)
    return by_name


def _parse(raw: Any) -> Iterator[Shape]:
    """Yield polygons or run lengths; the box if there are neither."""
    segmentation = raw.get("segmentation")
    if isinstance(segmentation, dict):
        yield runs(segmentation)
    elif segmentation:
        for flat in segmentation:
            yield polygon(points(zip(flat[::2], flat[1::2], strict=True)))
    elif raw.get("bbox"):
        left, top, width, height = (number(one) for one in raw["bbox"])
        yield rectangle((left, top), (left + width, top + height))
    else:
        yield NoArea("annotation without shape")
