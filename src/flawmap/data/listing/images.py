"""Listing of images: folders in natural order, and what is left out of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from flawmap.data.listing.beside import Endings, are_drawn, masks_by_content
from flawmap.data.listing.left_out import LeftOut
from flawmap.data.listing.names import (
    COLOUR_FOLDER,
    DEPTH_FOLDERS,
    Reason,
    folder_why_not,
    is_listed,
    is_named_after_image,
    is_named_as_mask,
    mask_owner,
    may_hold_masks,
    names_masks,
    squeezed,
    why_not,
)
from flawmap.data.samples import DatasetError, natural_key
from flawmap.errors import UsageError

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_MOST_SEARCHED = 20  # folders at most, for a first image
_RUN = ("manifest.json", "model.onnx")  # files that identify a flawmap run


Skip = Callable[["Folder"], Reason | None]


class _Content(NamedTuple):
    files: tuple[Path, ...]
    images: tuple[Path, ...]
    masks: Mapping[Path, tuple[Path, ...]]


class Folder:
    """A folder, listed once on first access.

    ``left_out`` is shared by a folder and all below it. A folder that cannot be listed raises
    DatasetError or, if ``lenient``, counts as left out. ``by_name``: no file is opened, so that a
    mask 7.png of 7.jpg counts as an image.
    """

    def __init__(
        self,
        path: Path,
        left_out: LeftOut | None = None,
        *,
        lenient: bool = False,
        by_name: bool = False,
        above: Folder | None = None,
        linked: bool = True,
    ) -> None:
        self.path = path
        self.left_out = LeftOut() if left_out is None else left_out
        self._lenient = lenient
        self._by_name = by_name
        self._above = above
        self._mask_endings: Endings = Counter() if above is None else above._mask_endings
        self._linked = linked

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @cached_property
    def real(self) -> str:
        """The resolved path; unlike ``Path.resolve``, this works with any links."""
        if self._above is not None and not self._linked:
            return self._above.real.rstrip(os.sep) + os.sep + self.name
        return os.path.realpath(self.path)

    @property
    def named(self) -> Path:
        """An absolute path with the folder's own name, even if . or .. was given."""
        return self.path.absolute() if self.name not in ("", "..") else Path(self.real)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files directly in it that are named like images, including masks."""
        return self._content.files

    @property
    def images(self) -> tuple[Path, ...]:
        """Images of parts directly in it.

        A dangling link named like an image is listed, so that reading it reports the problem.
        """
        return self._content.images

    @property
    def masks(self) -> Mapping[Path, tuple[Path, ...]]:
        """The masks beside the images, by image."""
        return self._content.masks

    @cached_property
    def folders(self) -> tuple[Folder, ...]:
        """Folders directly in it, without hidden ones and links to a parent."""
        kept = []
        for name, linked in self._entries[1]:
            path = self.path / name
            reason = folder_why_not(name)
            if reason is not None:
                if is_reported(path, reason):
                    self.left_out.add(reason, path)
                continue
            below = Folder(
                path,
                self.left_out,
                lenient=self._lenient,
                by_name=self._by_name,
                above=self,
                linked=linked,
            )
            if linked and below.real in self._reals():
                self.left_out.add(Reason.LINK, path)
            elif below._is_run:
                below.leave(Reason.OWN)
            else:
                kept.append(below)
        return tuple(kept)

    def child(self, *names: str) -> Folder | None:
        """Return the first folder in it with one of these names, ignoring case.

        If none has the name itself, a folder with other separators between its words matches.
        """
        exact = {folder.name.casefold(): folder for folder in reversed(self.folders)}
        loose = {squeezed(folder.name): folder for folder in reversed(self.folders)}
        matches = (exact.get(name) or loose.get(squeezed(name)) for name in names)
        return next((folder for folder in matches if folder is not None), None)

    def all_below(self, skip: Skip = lambda folder: None) -> list[Folder]:
        """Return this folder and all below it, in natural order, each once despite links.

        ``skip`` returns a reason to leave a folder out, or None to search it.
        """
        visited: set[str] = set()
        searched: list[Folder] = []
        waiting, links = [self], list[Folder]()
        while waiting or links:
            folder = waiting.pop() if waiting else links.pop(0)
            if folder.real in visited:
                self.left_out.add(Reason.LINK, folder.path)
                continue
            visited.add(folder.real)
            if folder is not self and (reason := skip(folder)) is not None:
                folder.leave(reason)
                continue
            searched.append(folder)
            for below in folder.folders:
                (links if below._linked else waiting).append(below)
        return sorted(searched, key=lambda folder: _order(folder.path.relative_to(self.path)))

    def images_below(self) -> tuple[Path, ...]:
        """Images of parts in it and below, each folder's own before those of its subfolders."""
        return tuple(path for folder in self.all_below() for path in folder.images)

    def first_below(self, most: int) -> Iterator[Folder]:
        """Yield at most ``most`` folders below it: the user may have given the whole disk."""
        waiting = list(reversed(self.folders))
        for _ in range(most):
            if not waiting:
                return
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)

    def leave(self, reason: Reason) -> None:
        """Count all images in it and below as left out."""
        inner = LeftOut()
        for folder in Folder(self.path, inner, lenient=self._lenient).all_below():
            if folder.files:
                self.left_out.add(reason, folder.files[0], len(folder.files))
        if inner.counts[Reason.OWN]:
            self.left_out.add(Reason.OWN, inner.examples[Reason.OWN], inner.counts[Reason.OWN])

    @cached_property
    def holds_masks(self) -> bool:
        """Whether it holds masks, by its name, or by its name and the content of its images."""
        if names_masks(self.name) or (self.name.casefold() == "gt" and self._is_beside_colour):
            return True
        if not may_hold_masks(self.name):
            return False
        places = (self, *self.first_below(_MOST_SEARCHED))
        files = next((place.files for place in places if place.files), ())
        if files and all(is_named_after_image(path.name) for path in files):
            return True
        drawn = None if self._by_name else are_drawn(files)
        if drawn is None:
            return bool(files) and all(is_named_as_mask(path.name) for path in files)
        return drawn

    @cached_property
    def is_depth(self) -> Reason | None:
        """Return the reason to leave out a folder of depth images beside one of colour images."""
        depth = self.name.casefold() in DEPTH_FOLDERS and self._is_beside_colour
        return Reason.DEPTH if depth else None

    @property
    def masks_beside(self) -> list[Folder]:
        """Folders that may hold the masks of its images: in it, or beside it if it is rgb/."""
        above = self._above if self.name.casefold() == COLOUR_FOLDER else None
        places = [self] if above is None else [self, above]
        below = (folder for place in places for folder in place.folders)
        return [one for one in below if one.holds_masks or one.name.casefold() == "gt"]

    @property
    def _is_beside_colour(self) -> bool:
        return self._above is not None and self._above.child(COLOUR_FOLDER) is not None

    @cached_property
    def _is_run(self) -> bool:
        """Whether it is a flawmap run, whose images show no parts."""
        names = {name for name, _ in self._entries[0]}
        return all(name in names for name in _RUN)

    @cached_property
    def _entries(self) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
        """List files with whether each can be read, and folders with whether each is a link."""
        files: list[tuple[str, bool]] = []
        folders: list[tuple[str, bool]] = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        folders.append((entry.name, entry.is_symlink()))
                    else:
                        files.append((entry.name, _may_be_read(entry)))
        except OSError as error:
            if not self._lenient:
                raise DatasetError(
                    f"{self.path}: cannot be listed ({error.strerror}); check its permissions"
                ) from error
            self.left_out.add(Reason.UNLISTED, self.path)
        return _sorted(files), _sorted(folders)

    @cached_property
    def _content(self) -> _Content:
        there = {name for name, _ in self._entries[0]}
        files: list[Path] = []
        images: list[Path] = []
        masks: dict[Path, list[Path]] = {}
        for name, readable in self._entries[0]:
            path = self.path / name
            reason = why_not(name, there)
            if reason in (None, Reason.MASK) and not readable:
                reason = Reason.IRREGULAR
            if reason is None:
                images.append(path)
            elif reason is Reason.MASK:
                masks.setdefault(self.path / str(mask_owner(name, there)), []).append(path)
            else:
                self.left_out.add(reason, path)
                continue
            files.append(path)
        pairs = () if self._by_name else masks_by_content(images, self._mask_endings)
        by_content = {mask: image for image, mask in pairs}
        for mask, image in by_content.items():
            masks.setdefault(image, []).append(mask)
        parts = tuple(path for path in images if path not in by_content)
        return _Content(tuple(files), parts, {k: tuple(v) for k, v in masks.items()})

    def _reals(self) -> Iterator[str]:
        yield self.real
        if self._above is not None:
            yield from self._above._reals()


def as_paths(given: Paths) -> list[Path]:
    """Return one or several given paths as a list; a string is one path, not its letters.

    >>> [path.name for path in as_paths("parts")]
    ['parts']
    """
    if isinstance(given, str | bytes | os.PathLike):
        given = [given]
    try:
        texts = [os.fsdecode(one) for one in given]
    except TypeError as error:
        raise UsageError(f"Give a path or a list of paths ({error}).") from error
    if "" in texts:
        raise UsageError("An empty text is not a path: name an image or a folder.")
    return [Path(text) for text in texts]


def is_folder(path: Path) -> bool:
    """Whether a folder exists; False for a name that no file can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether the path exists; False for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def list_images(folder: Path) -> tuple[Path, ...]:
    """Return the images of parts directly in ``folder``; none if it is missing."""
    return Folder(folder).images if is_folder(folder) else ()


def _order(relative: Path) -> tuple[tuple[list[str | int], str], ...]:
    return tuple(natural_key(part) for part in relative.parts)


def _sorted(names: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    return sorted(names, key=lambda one: natural_key(one[0]))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is neither a pipe nor a device; reading a dangling link will report it."""
    try:
        return entry.is_file() or (entry.is_symlink() and not exists(Path(entry.path)))
    except OSError:
        return True


def is_reported(folder: Path, reason: Reason) -> bool:
    """Whether a folder that is left out is reported, as it holds something the user may miss."""
    try:
        with os.scandir(folder) as entries:
            return any(reason is Reason.SYSTEM or is_listed(entry.name) for entry in entries)
    except OSError:
        return False
