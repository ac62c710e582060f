"""One image's entry in an annotation file, before its shapes are parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flawmap.data.masks.annotations.shapes import Shape
from flawmap.types import Size

NO_DEFECT = frozenset({"__ignore__", "_background_"})
"""Labels of shapes that mark no defect, as LabelMe names them."""


@dataclass
class Entry:
    """The unparsed shapes of one image, and how to parse them to `Shape`s."""

    parse: Callable[[Any], Iterator[Shape]]
    size: Size | None = None
    raw: list[Any] = field(default_factory=list)

    def shapes(self) -> list[Shape]:
        """Parse the shapes. Raises ValueError, KeyError or TypeError if the file is invalid."""
        return [shape for one in self.raw for shape in self.parse(one)]


def stated_size(height: Any, width: Any) -> Size | None:
    """Return the size of the annotated image; None if the file states none."""
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None
