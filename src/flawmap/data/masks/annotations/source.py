"""Reader for annotation files: which tool wrote them, and the mask of one image."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from flawmap.data.image_io.images import MAX_PIXELS, ImageError
from flawmap.data.masks.annotations import coco, labelme, via
from flawmap.data.masks.annotations.entry import Entry
from flawmap.data.masks.annotations.shapes import Filled, NoArea, Runs, Shape, draw
from flawmap.types import Size
from flawmap.utils.files import read_regular

MAX_BYTES = 128 * 2**20  # a parsed file takes about ten times as much memory
_TOOLS = (labelme.entries, coco.entries, via.entries)
_T = TypeVar("_T")
_WRONG = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True)
class AnnotatedImage:
    """One image of an annotation file, by its name in the file; "" for the only one."""

    file: Path
    image: str = ""

    def __str__(self) -> str:
        return f"{self.file} ({ascii(self.image[:200])[1:-1]})" if self.image else str(self.file)


def load_entries(path: Path) -> dict[str, Entry] | None:
    """Load the images of an annotation file by name; None if it is JSON of another kind.

    Raises ImageError if it cannot be read, is not JSON or is damaged.
    """
    try:
        status = path.stat()
        return _loaded(path, status.st_mtime_ns, status.st_size)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read ({_why(error)})") from error


def draw_annotations(source: AnnotatedImage, image_size: Size | None) -> Filled:
    """Return which pixels (h, w) the shapes cover at this image size; None for the stated size.

    Raises ImageError, also if the shapes were drawn on an image of another size, or if the size is
    neither given nor stated.
    """
    entry = _entry(source)
    shapes = _parsed(source, entry)
    size = image_size or entry.size
    if size is None:
        raise ImageError(f"{source}: states no size of its image; draw the mask as an image")
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"{source}: states an image of {_extent(size)} pixels; shrink it")
    for stated in (entry.size, *(shape.size for shape in shapes if isinstance(shape, Runs))):
        if stated is not None and stated != tuple(size):
            raise ImageError(
                f"{source}: drawn on an image of another size ({_extent(stated)}, image "
                f"{_extent(size)}); draw it on the image itself"
            )
    return _guarded(source, lambda: draw(shapes, size))


def only_image(path: Path) -> AnnotatedImage | None:
    """Return the one image with shapes in a file; None for JSON that is not an annotation file.

    Raises ImageError if there are several such images.
    """
    entries = load_entries(path)
    if entries is None:
        return None
    drawn = [name for name, entry in entries.items() if entry.raw] or list(entries)
    if len(drawn) != 1:
        raise ImageError(
            f"{path}: holds shapes of {len(drawn)} images; export the one that shows the region"
        )
    return AnnotatedImage(path, drawn[0])


def states_size(source: AnnotatedImage) -> Size | None:
    """Return the size of the annotated image, if the file states it."""
    return _entry(source).size


def left_out(source: AnnotatedImage) -> Counter[str]:
    """Count the shapes of an image that cover no area, such as points, by kind."""
    shapes = _parsed(source, _entry(source))
    return Counter(shape.kind for shape in shapes if isinstance(shape, NoArea))


def has_area(source: AnnotatedImage) -> bool:
    """Whether an image has a shape that covers an area."""
    return any(not isinstance(shape, NoArea) for shape in _parsed(source, _entry(source)))


@lru_cache(maxsize=4)
def _loaded(path: Path, _changed: int, _size: int) -> dict[str, Entry] | None:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number")

    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8-sig")
        value = json.loads(text, parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ImageError(f"{path}: not readable JSON ({_why(error)})") from error

    def parse() -> dict[str, Entry] | None:
        return next((it for it in (tool(value) for tool in _TOOLS) if it is not None), None)

    return _guarded(path, parse)


def _entry(source: AnnotatedImage) -> Entry:
    entries = load_entries(source.file) or {}
    if not source.image and len(entries) == 1:
        return next(iter(entries.values()))
    if source.image not in entries:
        raise ImageError(f"{source}: no annotations of this image")
    return entries[source.image]


def _parsed(source: AnnotatedImage, entry: Entry) -> list[Shape]:
    return _guarded(source, entry.shapes)


def _guarded(source: object, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except _WRONG as error:
        raise ImageError(f"{source}: damaged annotations ({_why(error)})") from error


def _why(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, KeyError):
        text = f"{error} is missing"
    return (text.strip().splitlines() or [type(error).__name__])[0][:120]


def _extent(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
