"""Which images a call names, and what each one's output files are called."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.datasets.base import natural_key
from flawmap.errors import FlawmapError, UsageError
from flawmap.images import is_image_name

_NOT_PHOTOGRAPHS = {"ground_truth", "mask", "masks"}  # folders of datasets


@dataclass(frozen=True)
class Target:
    """An image to inspect, and what its output files are called (may hold folders)."""

    path: Path
    name: str


def list_images(inputs: Sequence[Path], out: Path | None = None) -> list[Target]:
    """Images named and images in the folders named, in order, each with a name of its own.

    Folders of ground truth below the named ones are passed over, and so is ``out``. Raises
    UsageError for a path that is not there or is ``out``, FlawmapError where a folder holds no
    image.
    """
    written = None if out is None else real(out)
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        if given.is_dir():
            if real(given) == written:
                raise UsageError(f"{given} is inspected: give another folder as --out.")
            inside = list(walk_images(given, written))
            if not inside:
                raise FlawmapError(f"No images in {given} (PNG, JPEG, BMP, TIFF or WebP).")
            found += [(path, path.relative_to(given)) for path in inside]
        elif given.exists():
            found.append((given, Path(given.name)))
        else:
            raise UsageError(f"No such image or folder: {given}")
    if not found:
        raise UsageError("Nothing to inspect: name an image or a folder.")
    return [Target(path, name) for (path, _), name in zip(found, _names(found), strict=True)]


def walk_images(folder: Path, written: Path | None, *, lenient: bool = False) -> Iterator[Path]:
    """Images below a folder in natural order, each folder's own before those of its folders.

    A folder that cannot be listed is a FlawmapError, or if ``lenient`` passed over.
    """
    for place, folders, files in os.walk(folder, onerror=None if lenient else _not_listed):
        here = Path(place)
        folders[:] = sorted(
            (f for f in folders if _is_searched(here / f, written)), key=natural_key
        )
        yield from (here / name for name in sorted(files, key=natural_key) if is_image_name(name))


def real(path: Path) -> Path:
    """Where a path leads; unlike ``Path.resolve``, whatever its links do."""
    return Path(os.path.realpath(path))


def _not_listed(error: OSError) -> None:
    raise FlawmapError(
        f"{error.filename}: cannot be listed ({error.strerror}); check its permissions"
    ) from error


def _is_searched(folder: Path, written: Path | None) -> bool:
    """Neither hidden nor ground truth nor where this very call writes."""
    hidden = folder.name.startswith(".")
    return not hidden and folder.name.lower() not in _NOT_PHOTOGRAPHS and real(folder) != written


def _names(found: Iterable[tuple[Path, Path]]) -> Iterator[str]:
    """Stem of each image, with its ending or a number where another has taken the stem."""
    taken: set[str] = set()
    for _, relative in found:
        stem = str(relative.with_suffix(""))
        numbered = (f"{stem}_{n}" for n in itertools.count(2))
        tries = itertools.chain([stem, f"{stem}_{relative.suffix.lstrip('.')}"], numbered)
        name = next(t for t in tries if t.lower() not in taken)
        taken.add(name.lower())
        yield name
