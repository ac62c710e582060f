"""Masks from shapes drawn in labelling tools (LabelMe, COCO, VIA).

Every file is untrusted: its size is capped before it is read, its numbers are checked before they
are drawn, and any problem raises one `ImageError` that names the file.
"""

from __future__ import annotations

from flawmap.data.masks.annotations.finding import Annotations
from flawmap.data.masks.annotations.source import (
    AnnotatedImage,
    draw_annotations,
    has_area,
    left_out,
    only_image,
    states_size,
)

__all__ = [
    "AnnotatedImage",
    "Annotations",
    "draw_annotations",
    "has_area",
    "left_out",
    "only_image",
    "states_size",
]
