"""LabelMe: a JSON file for each image. AnyLabeling and X-AnyLabeling write the same."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import Any

from flawmap.data.image_io.images import MAX_BYTES, MAX_PIXELS, ImageError, decode_image
from flawmap.data.masks.annotations.entry import NO_DEFECT, Entry, stated_size
from flawmap.data.masks.annotations.shapes import (
    Line,
    Pixels,
    Shape,
    ellipse,
    no_area,
    points,
    polygon,
    rectangle,
)
from flawmap.data.masks.layers import layer_share


def entries(value: Any) -> dict[str, Entry] | None:
    """Return the one image of a LabelMe file; None if the value is not such a file."""
    if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
        return None
    size = stated_size(value.get("imageHeight"), value.get("imageWidth"))
    return {str(value.get("imagePath") or ""): Entry(_parse, size, value["shapes"])}


def _parse(raw: Any) -> Iterator[Shape]:
    if raw.get("label") in NO_DEFECT:
        return
    kind, corners = raw.get("shape_type") or "polygon", points(raw["points"])
    match kind, len(corners):
        case (("polygon" | "rotation" | "rectangle"), more) if kind != "rectangle" or more > 2:
            yield polygon(corners)
        case "rectangle", 2:
            yield rectangle(corners[0], corners[1])
        case "circle", 2:
            radius = math.dist(corners[0], corners[1])
            yield ellipse(corners[0], (radius, radius))
        case (("line" | "linestrip"), more) if more > 1:
            yield Line(corners)
        case "mask", _ if raw.get("mask"):
            yield _pixels(raw["mask"], corners[0])
        case _:
            yield no_area(kind)


def _pixels(text: str, corner: tuple[float, float]) -> Shape:
    """Parse a shape made by an AI assistant: a small PNG file, and its top left corner."""
    data = base64.b64decode(text, validate=True)
    try:
        image, _ = decode_image(data, "the pixels of a shape", MAX_BYTES, MAX_PIXELS)
    except ImageError as error:
        raise ValueError(str(error)) from error
    return Pixels(layer_share(image) >= 0.5, (round(corner[1]), round(corner[0])))
