"""VGG Image Annotator 1 and 2: a project, or its annotations exported as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flawmap.data.masks.annotations.entry import NO_DEFECT, Entry
from flawmap.data.masks.annotations.shapes import (
    Line,
    Shape,
    ellipse,
    no_area,
    number,
    points,
    polygon,
    rectangle,
)


def entries(value: Any) -> dict[str, Entry] | None:
    """Return the images of a VIA file by name; None if the value is not such a file."""
    if not isinstance(value, dict):
        return None
    images = value.get("_via_img_metadata", value)
    if not isinstance(images, dict) or not all(map(_is_image, images.values())):
        return None
    if not images and images is value:
        return None
    by_name: dict[str, Entry] = {}
    for image in images.values():
        regions = image["regions"]
        entry = by_name.setdefault(str(image["filename"]), Entry(_parse))
        entry.raw += regions.values() if isinstance(regions, dict) else regions
    return by_name


def _is_image(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("filename"), str)
        and isinstance(value.get("regions"), list | dict)
    )


def _parse(raw: Any) -> Iterator[Shape]:
    attributes = raw.get("region_attributes")
    if isinstance(attributes, dict) and any(
        isinstance(one, str) and one in NO_DEFECT for one in attributes.values()
    ):
        return
    yield _shape(raw["shape_attributes"])


def _shape(shape: Any) -> Shape:
    def numbers(*names: str) -> tuple[float, ...]:
        return tuple(number(shape[name]) for name in names)

    match shape["name"]:
        case "polygon" | "polyline" as kind:
            corners = points(zip(shape["all_points_x"], shape["all_points_y"], strict=True))
            return polygon(corners) if kind == "polygon" else Line(corners)
        case "rect":
            left, top, width, height = numbers("x", "y", "width", "height")
            return rectangle((left, top), (left + width, top + height))
        case "circle":
            x, y, radius = numbers("cx", "cy", "r")
            return ellipse((x, y), (radius, radius))
        case "ellipse":
            x, y, along, across = numbers("cx", "cy", "rx", "ry")
            return ellipse((x, y), (along, across), number(shape.get("theta", 0)))
        case kind:
            return no_area(kind)
