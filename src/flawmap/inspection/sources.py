"""Listing of the images named in a call, and naming of their output files."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flawmap.data.listing.images import Folder, Paths, as_paths, exists, is_folder
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.listing.names import Reason, why_not
from flawmap.errors import FlawmapError, UsageError


@dataclass(frozen=True)
class Target:
    """Image to inspect, and the base name of its output files (may contain folders)."""

    path: Path
    name: str


def list_images(inputs: Paths, out: Path | None = None) -> list[Target]:
    """List the given images and those in the given folders, in order, with unique names.

    Folders are searched recursively. Masks, flawmap's own output (including ``out``), hidden and
    partial files are skipped, with one line per reason in the log "flawmap". Raises UsageError for
    a path that does not exist or is ``out``, FlawmapError if no image is left.
    """
    written = None if out is None else real(out)
    left_out = LeftOut()
    paths = as_paths(inputs)
    named = _named_together(path for path in paths if not is_folder(path))
    images: list[tuple[Path, Path]] = []
    for given in paths:
        if is_folder(given):
            if real(given) == written:
                raise UsageError(
                    f"{given} is both inspected and --out: give another folder as --out."
                )
            inside = list(_search(Folder(given, left_out), written))
            if not inside:
                raise FlawmapError(_no_images(given, left_out))
            images += [(path, path.relative_to(given)) for path in inside]
        elif not exists(given):
            raise UsageError(f"No such image or folder: {given}. Check its name.")
        elif (reason := why_not(given.name, named[given.parent])) in (Reason.MASK, Reason.OWN):
            left_out.add(reason, given)  # matched by a pattern such as *.png, along with its image
        else:
            images.append((given, Path(given.name)))
    left_out.report()
    if not images:
        raise UsageError("There is nothing to inspect: name an image or a folder.")
    return [Target(path, name) for (path, _), name in zip(images, _names(images), strict=True)]


def walk_images(folder: Path, written: Path | None, *, lenient: bool = False) -> Iterator[Path]:
    """Yield images below a folder in natural order, a folder's own before those of subfolders.

    A folder that cannot be listed raises FlawmapError or, with ``lenient``, is skipped.
    """
    return _search(Folder(folder, lenient=lenient, by_name=True), written)


def real(path: Path) -> Path:
    """Resolve a path; unlike ``Path.resolve``, this works whatever its links do."""
    return Path(os.path.realpath(path))


def _search(folder: Folder, written: Path | None) -> Iterator[Path]:
    """Yield images in a folder and below; count masks and own output as left out."""

    def skip(below: Folder) -> Reason | None:
        if written is not None and below.real == str(written):
            return Reason.OWN
        return Reason.MASK if below.holds_masks else below.is_depth

    for place in folder.all_below(skip):
        yield from place.images
        for masks in place.masks.values():
            folder.left_out.add(Reason.MASK, masks[0], len(masks))


def _no_images(folder: Path, left_out: LeftOut) -> str:
    lines = " ".join(f"{line}." for line in left_out.lines())
    return f"There are no images in {folder} (PNG, JPEG, BMP, TIFF or WebP). {lines}".rstrip()


def _named_together(files: Iterable[Path]) -> defaultdict[Path, set[str]]:
    """Group the names of the given files by folder."""
    names: defaultdict[Path, set[str]] = defaultdict(set)
    for path in files:
        names[path.parent].add(path.name)
    return names


def _names(images: Iterable[tuple[Path, Path]]) -> Iterator[str]:
    """Yield the stem of each image, with suffix or number if another image uses the stem."""
    taken: set[str] = set()
    for _, relative in images:
        yield free_name(relative, taken)


def free_name(path: Path, taken: set[str]) -> str:
    """Return the path without suffix, or with it or a number; add it to `taken` in lower case."""
    stem = str(path.with_suffix(""))
    numbered = (f"{stem}_{n}" for n in itertools.count(2))
    tries = itertools.chain([stem, f"{stem}_{path.suffix.lstrip('.')}"], numbered)
    name = next(t for t in tries if t.lower() not in taken)
    taken.add(name.lower())
    return name
