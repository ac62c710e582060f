"""Load the good images of a run once, and hold out a fifth of them for the thresholds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.data.groups import group_images, path_below
from flawmap.data.layouts import Dataset
from flawmap.data.resize import Framing
from flawmap.data.samples import plural
from flawmap.data.store import LoadedImages, fingerprint, load_images
from flawmap.data.tiles import load_tiles
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.conformal import rounded_up
from flawmap.training.choices.groups import burst_hint
from flawmap.training.choices.shape import format_size, is_squeezed, kept_shape
from flawmap.training.good_images.split import HELD_OUT_LEAST, LEAST_PARTS, Part
from flawmap.training.good_images.usable import Usable, find_usable, mixture_hints
from flawmap.utils.rng import Stream, generator

_FEW = 20  # hint below this number of parts


@dataclass(frozen=True)
class GoodImages:
    """Decoded good images and their roles; all tiles of an image have the same role.

    ``train``, ``held`` and ``set_aside`` are indices of loaded images; see :class:`Split`.
    ``groups`` is the number of groups, None if no group rule was given. ``notes`` are lines for
    the user.
    """

    root: Path
    loaded: LoadedImages
    framing: Framing
    train: NDArray[np.int64]
    held: NDArray[np.int64]
    set_aside: NDArray[np.int64]
    copies: int = 0
    useless: int = 0
    groups: int | None = None
    added: int = 0
    """The last so many of ``train`` were added in a refinement."""
    notes: tuple[str, ...] = ()

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows of the tiles to train on."""
        return self.loaded.rows_of(self.train)

    @property
    def all_rows(self) -> NDArray[np.int64]:
        """Rows of all tiles in use, in any role: the same for every fold model of a run."""
        used = np.concatenate([self.train, self.held, self.set_aside])
        return self.loaded.rows_of(np.sort(used))

    def sample(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Pick up to ``count`` of the tiles to train on, (n, h, w, 3), by seed."""
        rows = self.train_rows
        order = generator(seed, Stream.SAMPLE).permutation(len(rows))
        return self.loaded.array[np.sort(rows[order[:count]])]

    def parity_tiles(self, count: int, seed: int) -> NDArray[np.uint8]:
        """Pick up to ``count`` held-out tiles (n, h, w, 3), evenly spread; else training tiles."""
        rows = self.loaded.rows_of(self.held)
        if not len(rows):
            return self.sample(count, seed)
        count = min(count, len(rows))
        return self.loaded.array[rows[np.arange(count) * len(rows) // count]]

    @property
    def held_out(self) -> Iterator[NDArray[np.uint8]]:
        """Full images (H, W, 3) that set the thresholds, read one by one."""
        return (self.framing.decode(self.loaded.paths[index]) for index in self.held)

    @property
    def held_files(self) -> tuple[str, ...]:
        """SHA-256 of each file that sets the thresholds."""
        return self._digests(self.held)

    @property
    def names(self) -> dict[str, str]:
        """Paths below the data folder, by SHA-256."""
        files = zip(self.loaded.sha256, self.loaded.paths, strict=True)
        return {sha256: path_below(path, self.root) for sha256, path in files}

    @property
    def fingerprint(self) -> str:
        """One digest of the content of all images used."""
        return fingerprint((*self.trained_on, *self.held_files, *self.aside_files))

    @property
    def split_digest(self) -> str:
        """One digest of the images' roles and order; file names affect it, too."""
        sides = (self.trained_on, self.held_files, self.aside_files)
        return hashlib.sha256("\n\n".join("\n".join(side) for side in sides).encode()).hexdigest()

    @property
    def trained_on(self) -> tuple[str, ...]:
        """SHA-256 of each file trained on."""
        return self._digests(self.train)

    @property
    def aside_files(self) -> tuple[str, ...]:
        """SHA-256 of each file set aside: other images of parts that set the thresholds."""
        return self._digests(self.set_aside)

    def _digests(self, images: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(self.loaded.sha256[i] for i in images)

    def shape_hint(self) -> str | None:
        """Return a hint if squashing the images changes their shape by more than a third."""
        size = self.framing.size
        height, width = np.median(np.array(self.loaded.sizes), axis=0)
        if self.framing.fit != "squash" or not is_squeezed((height, width), size):
            return None
        kept = kept_shape((height, width), min(size))
        other = f"--size {format_size(kept)} or " if kept != size else ""
        return (
            f"The images are {height:.0f}x{width:.0f} (height x width) and are squashed to "
            f"{format_size(size)}: {other}--fit letterbox keeps their shape"
            + (", --fit tiles also every detail." if min(height, width) >= 2 * min(size) else ".")
        )

    def describe(self) -> str:
        """Summarise the images in one line for the user."""
        skipped = len(self.loaded.skipped)
        line = f"{len(self.train)} good images to train on, "
        line += f"{len(self.held) or 'none'} held out for the thresholds"
        if self.framing.tiled:
            line += f", in {len(self.train_rows)} tiles to train on"
        if self.groups is not None:
            line += f", from {self.groups} groups"
        if len(self.set_aside):
            line += (
                f", {len(self.set_aside)} set aside: only one image of each held-out group sets "
                "the thresholds"
            )
        return line + (f", {skipped} unreadable and skipped" if skipped else "")


A_FIFTH = Part()


def load_good_images(
    dataset: Dataset,
    framing: Framing,
    cache: Path,
    seed: int,
    part: Part = A_FIFTH,
    group: str | int | None = None,
) -> GoodImages:
    """Load the good images of ``dataset`` at working size, whole or as tiles; hold some out.

    ``cache``: folder for tiles, or for an array that is too large for memory. ``group``: see
    :func:`group_images`. Identical files count once; tiny and single-colour images are left out.
    Raises FlawmapError if fewer than 6 parts are left, UsageError if there are more folds
    than parts.
    """
    _check_enough(len(dataset.good_train), dataset.root, ())
    group_images(dataset.good_train, dataset.root, group)  # report an invalid rule at once
    loaded = load_framed(dataset.good_train, framing, cache)
    usable = find_usable(loaded)
    # copies join groups, so groups are formed from all images, then restricted to those used
    every = group_images(loaded.paths, dataset.root, group, loaded.sha256)
    _, groups = np.unique(every[usable.rows], return_inverse=True)
    count = int(groups.max(initial=-1)) + 1
    _check_enough(count, dataset.root, usable.notes, None if group is None else str(group))
    if part.folds > count:
        what = "images" if group is None else "groups"
        raise UsageError(f"--folds {part.folds} exceeds the {count} {what}: give at most {count}.")
    split = part.split(groups, seed)
    train, held, aside = (usable.rows[one] for one in (split.train, split.held, split.set_aside))
    return GoodImages(
        dataset.root,
        loaded,
        framing,
        train,
        held,
        aside,
        copies=usable.copies,
        useless=usable.useless,
        groups=None if group is None else count,
        notes=(*usable.notes, *_hints(loaded, usable, framing, count, part, group)),
    )


def load_framed(paths: Sequence[Path], framing: Framing, cache: Path) -> LoadedImages:
    """Load images as their framing says, whole or as tiles.

    ``cache``: folder for tiles, or for an array that is too large for memory.
    """
    if framing.tiled:
        return load_tiles(paths, framing, cache)
    size, fit, white = framing.size, framing.fit, framing.white_level
    return load_images(paths, size, fit=fit, white_level=white, cache_dir=cache)


def _hints(
    loaded: LoadedImages,
    usable: Usable,
    framing: Framing,
    count: int,
    part: Part,
    group: str | int | None,
) -> list[str]:
    """List further hints on the images for the user."""
    hints = mixture_hints(loaded, usable.rows.tolist(), framing.fit == "squash")
    if group is None and (burst := burst_hint(loaded.image, usable.rows)) is not None:
        hints.append(burst)
    if count < _FEW and not part.folds:
        least = HELD_OUT_LEAST
        hints.append(
            f"Only {count} good {'images' if group is None else 'groups'}: with {least} held out, "
            f"no false-reject rate below {rounded_up(1 / (least + 1))} can be guaranteed, and few "
            "are left to train on. Take 50 or more, or give --folds 5."
        )
    return hints


def _check_enough(count: int, root: Path, notes: Sequence[str], group: str | None = None) -> None:
    if count >= LEAST_PARTS:
        return
    if group is not None:
        raise FlawmapError(
            f"--group {group} makes {plural(count, 'group(s)')} of the good images: at least "
            f"{LEAST_PARTS} are needed, {HELD_OUT_LEAST} of which set the thresholds."
        )
    why = f" ({' '.join(notes)})" if notes else ""
    raise FlawmapError(
        f"{root} has {count} usable good images{why}: at least {LEAST_PARTS} are needed, "
        f"{HELD_OUT_LEAST} of which set the thresholds. Take images of more good parts."
    )
