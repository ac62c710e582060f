"""Which images a call names, and what each one's output files are called."""

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
    """An image to inspect, and what its output files are called (may hold folders)."""

    path: Path
    name: str


def list_images(inputs: Paths, out: Path | None = None) -> list[Target]:
    """Images named and images in the folders named, in order, each with a name of its own.

    Folders are searched with all below them. Masks, own output (``out`` too), hidden and partial
    files are left out, and the log "flawmap" gets a line for each reason. Raises UsageError for a
    path that is not there or is ``out``, FlawmapError where no image is left.
    """
    written = None if out is None else real(out)
    left_out = LeftOut()
    paths = as_paths(inputs)
    named = _named_together(path for path in paths if not is_folder(path))
    found: list[tuple[Path, Path]] = []
    for given in paths:
        if is_folder(given):
            if real(given) == written:
                raise UsageError(f"{given} is inspected: give another folder as --out.")
            inside = list(_search(Folder(given, left_out), written))
            if not inside:
                raise FlawmapError(_no_images(given, left_out))
            found += [(path, path.relative_to(given)) for path in inside]
        elif not exists(given):
            raise UsageError(f"No such image or folder: {given}")
        elif (reason := why_not(given.name, named[given.parent])) in (Reason.MASK, Reason.OWN):
            left_out.add(reason, given)  # named by a pattern such as *.png, with its image
        else:
            found.append((given, Path(given.name)))
    left_out.tell()
    if not found:
        raise UsageError("Nothing to inspect: name an image or a folder.")
    return [Target(path, name) for (path, _), name in zip(found, _names(found), strict=True)]


def walk_images(folder: Path, written: Path | None, *, lenient: bool = False) -> Iterator[Path]:
    """Images below a folder in natural order, each folder's own before those of its folders.

    A folder that cannot be listed is a FlawmapError, or if ``lenient`` passed over.
    """
    return _search(Folder(folder, lenient=lenient, by_name=True), written)


def real(path: Path) -> Path:
    """Where a path leads; unlike ``Path.resolve``, whatever its links do."""
    return Path(os.path.realpath(path))


def _search(folder: Folder, written: Path | None) -> Iterator[Path]:
    """Images of parts in a folder and below; masks and own output are counted as left out."""

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
    return f"No images in {folder} (PNG, JPEG, BMP, TIFF or WebP). {lines}".rstrip()


def _named_together(files: Iterable[Path]) -> defaultdict[Path, set[str]]:
    """The names of files that were named, by folder."""
    found: defaultdict[Path, set[str]] = defaultdict(set)
    for path in files:
        found[path.parent].add(path.name)
    return found


def _names(found: Iterable[tuple[Path, Path]]) -> Iterator[str]:
    """Stem of each image, with its ending or a number where another has taken the stem."""
    taken: set[str] = set()
    for _, relative in found:
        yield free_name(relative, taken)


def free_name(path: Path, taken: set[str]) -> str:
    """The path without its ending, or with it or a number; its small letters join `taken`."""
    stem = str(path.with_suffix(""))
    numbered = (f"{stem}_{n}" for n in itertools.count(2))
    tries = itertools.chain([stem, f"{stem}_{path.suffix.lstrip('.')}"], numbered)
    name = next(t for t in tries if t.lower() not in taken)
    taken.add(name.lower())
    return name
