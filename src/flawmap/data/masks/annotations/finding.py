"""Lookup of the annotations that belong to an image of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from flawmap.data.image_io.images import IMAGE_SUFFIXES, ImageError
from flawmap.data.masks.annotations.source import AnnotatedImage, load_entries

_HEAD = 2**16  # bytes of a file within which LabelMe names its shapes
_SINGLE = b'"shapes"'


class Annotations:
    """The annotations in given folders: LabelMe files for one image, COCO and VIA files for many.

    `problems` holds a line for each unreadable JSON file, `listing` the COCO and VIA files. Files
    with other content are ignored.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.problems: list[str] = []
        self.listing: list[Path] = []
        self._single: dict[tuple[Path, str], Path] = {}
        self._listed: dict[str, list[tuple[tuple[str, ...], AnnotatedImage]]] = {}
        for path in (path for folder in dict.fromkeys(folders) for path in _json_files(folder)):
            self._add(path)

    def beside(self, image: Path, folder: Path) -> AnnotatedImage | None:
        """Return the LabelMe file in `folder` that is named like the image."""
        path = self._single.get((folder, _stem(image)))
        return None if path is None else AnnotatedImage(path)

    def listed(self, image: Path, *, alone: bool) -> AnnotatedImage | None:
        """Return the entry in a COCO or VIA file whose path, from its end, matches best.

        A name without a folder matches only if no other image has it (`alone`), or if the file is
        in the image's own folder.
        """
        parts = _parts(image)
        entries = self._listed.get(parts[0], [])
        ranked = [(_agreeing(parts, named), source) for named, source in entries]
        best = max((count for count, _ in ranked), default=0)
        candidates = [source for count, source in ranked if count == best]
        if best > 1 or alone:
            return candidates[0] if candidates else None
        return next((one for one in candidates if one.file.parent == image.parent), None)

    def _add(self, path: Path) -> None:
        try:
            if _is_single(path):
                self._single[path.parent, _stem(path)] = path
                return
            entries = load_entries(path)
            if entries:
                self.listing.append(path)
            for name in entries or {}:
                parts = _parts(PurePosixPath(name.replace("\\", "/")))
                self._listed.setdefault(parts[0], []).append((parts, AnnotatedImage(path, name)))
        except ImageError as error:
            self.problems.append(str(error))


def _is_single(path: Path) -> bool:
    """Whether it is probably a LabelMe file, which is parsed only when needed."""
    try:
        with path.open("rb") as file:
            return _SINGLE in file.read(_HEAD)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error


def _json_files(folder: Path) -> Iterator[Path]:
    try:
        files = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError:  # listing its images reports it
        return
    for path in files:
        if path.suffix.lower() == ".json" and not path.name.startswith(".") and path.is_file():
            yield path


def _parts(path: PurePosixPath | Path) -> tuple[str, ...]:
    """Return stem, folder, parent folder and so on."""
    return (_stem(path), *(part.casefold() for part in reversed(path.parts[:-1])))


def _agreeing(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _stem(path: PurePosixPath | Path) -> str:
    stem = path.stem.casefold()
    inner = PurePosixPath(stem)  # 7.png.json
    stem = inner.stem if inner.suffix in IMAGE_SUFFIXES else stem
    return stem.removesuffix("_mask")
