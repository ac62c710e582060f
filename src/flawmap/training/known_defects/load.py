"""Load known defects at working size, with their masks, and check that they can be learned from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from flawmap.data.image_io.images import ImageError, read_file
from flawmap.data.layouts import Sample
from flawmap.data.layouts.shared.kinds import mask_files
from flawmap.data.masks.decoding import read_mask
from flawmap.data.resize import Framing, Layout, Place
from flawmap.data.samples import natural_key, plural
from flawmap.errors import FlawmapError
from flawmap.utils.printable import printable

_NAMED = 3  # files named in a line
_APART = 3  # pixels by which a piece grows: those that then touch are one
_MOST_PIECES = 16


@dataclass(frozen=True, eq=False)
class KnownDefects:
    """Defective images to learn from, in the order of their names.

    ``images`` uint8 (K, h, w, 3) and ``masks`` uint8 (K, h, w) {0, 1} at working size: an image, or
    each of its tiles that shows a defect. ``types`` (K,): index into ``names``. ``masked`` (K,):
    whether the mask is known.
    ``files``: SHA-256 of every image; ``notes``: lines for the user.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    types: NDArray[np.int64]
    masked: NDArray[np.bool_]
    names: tuple[str, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]

    @cached_property
    def _split(self) -> tuple[list[NDArray[np.uint8]], list[int]]:
        """Pieces of all masks, and the row that each is of."""
        pieces = [(piece, row) for row, mask in enumerate(self.masks) for piece in split(mask)]
        return [piece for piece, _ in pieces], [row for _, row in pieces]

    @cached_property
    def pieces(self) -> NDArray[np.int64]:
        """The defect (P,) that each piece is of: a connected part of its mask."""
        return np.array(self._split[1], np.int64)

    @cached_property
    def piece_masks(self) -> NDArray[np.uint8]:
        """Masks of the pieces, (P, h, w) {0, 1}."""
        return np.array(self._split[0], np.uint8).reshape(-1, *self.masks.shape[1:])

    @cached_property
    def centres(self) -> NDArray[np.float32]:
        """Centres of the pieces (P, 2), down and across, in 0..1."""
        return np.array([_centre(mask) for mask in self.piece_masks], np.float32).reshape(-1, 2)

    @property
    def digest(self) -> str:
        """One digest of all pixels, masks and types."""
        parts = (self.images, self.masks, self.types, self.masked)
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(x).tobytes() for x in parts)
        ).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """Images, or tiles, of each type."""
        return {name: int((self.types == index).sum()) for index, name in enumerate(self.names)}

    @property
    def bare(self) -> int:
        """Images without a mask."""
        return int((~self.masked).sum())

    def describe(self) -> str:
        """Summarise them in one line for the user."""
        bare = self.bare
        line = f"Known defects: {plural(len(self.files), 'image(s)')} of "
        line += f"{plural(len(self.names), 'type(s)')} ({', '.join(map(printable, self.names))})"
        if bare:
            line += f", {bare} without mask: the head only learns that they are defective somewhere"
        return f"{line}."


def load_known(samples: Sequence[Sample], framing: Framing, good: Collection[str]) -> KnownDefects:
    """Read defective images and their masks at working size.

    ``good``: SHA-256 of the good images; what is among them is left out, as one label is wrong.
    Unreadable images and images whose mask has another size are left out, too; notes name them.
    Raises FlawmapError if none is left.
    """
    reader = _Reader(framing, frozenset(good))
    for sample in sorted(samples, key=lambda one: natural_key(str(one.path))):
        reader.add(sample)
    return reader.loaded()


class _Reader:
    """Gathers what is read, and why the rest is left out."""

    def __init__(self, framing: Framing, good: frozenset[str]) -> None:
        self._framing, self._good = framing, good
        self._images: list[NDArray[np.uint8]] = []
        self._masks: list[NDArray[np.uint8]] = []
        self._types: list[str] = []
        self._masked: list[bool] = []
        self._files: dict[str, None] = {}
        self._out: dict[str, list[str]] = {}

    def add(self, sample: Sample) -> None:
        """Read one image and its mask."""
        path = sample.path
        try:
            data = read_file(path)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in self._good:
                self._leave("also among the good images: one of the two labels is wrong", path)
                return
            if sha256 in self._files:
                self._leave("with the same content as another", path)
                return
            padded = self._framing.read(data, name=str(path))
            mask = self._mask(sample, padded.image_size)
        except ImageError as error:
            self._leave("that cannot be used", error)
            return
        if mask is not None and not mask.any():
            self._leave("whose mask marks nothing", path)
            return
        places = _tiles_with(mask, padded.layout)
        if not places:
            self._leave("without mask, which tiles need", path)
            return
        self._files[sha256] = None
        for place in places:
            self._images.append(padded.pixels[place].copy())  # a view would keep the whole image
            own = np.zeros(self._framing.size, np.uint8) if mask is None else mask[place].copy()
            self._masks.append(own)
            self._types.append(sample.defect_type or "defect")
            self._masked.append(mask is not None)

    def _mask(self, sample: Sample, image_size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """Return the mask framed as its image is, (H, W) {0, 1}; None without one."""
        masks = [read_mask(file, None, image_size=image_size) for file in mask_files(sample)]
        if not masks:
            return None
        marked = np.maximum.reduce(masks) * np.uint8(255)
        framed = self._framing.preprocess(np.repeat(marked[..., None], 3, 2)).pixels[..., 0]
        return (framed > 127).astype(np.uint8) if framed.max() > 127 else _faint(framed)

    def _leave(self, why: str, what: object) -> None:
        self._out.setdefault(why, []).append(printable(str(what)))

    def loaded(self) -> KnownDefects:
        """Return all that was read; FlawmapError if there is none."""
        notes = tuple(_left_out(why, files) for why, files in self._out.items())
        if not self._files:
            raise FlawmapError(
                "No defective image to learn from is left. " + " ".join(notes).strip()
            )
        names = sorted(Counter(self._types), key=natural_key)
        return KnownDefects(
            images=np.stack(self._images),
            masks=np.stack(self._masks),
            types=np.array([names.index(kind) for kind in self._types]),
            masked=np.array(self._masked),
            names=tuple(names),
            files=tuple(self._files),
            notes=notes,
        )


def _tiles_with(mask: NDArray[np.uint8] | None, layout: Layout) -> list[Place]:
    """Return the tiles that show a defect; without a mask only the tile that is the whole image."""
    tiles = [layout.tile(index) for index in range(layout.count)]
    if mask is None:
        return tiles if len(tiles) == 1 else []
    return [tile for tile in tiles if mask[tile].any()]


def _left_out(why: str, files: Sequence[str]) -> str:
    more = ", ..." if len(files) > _NAMED else ""
    named = "; ".join(files[:_NAMED])
    return f"{plural(len(files), 'defective image(s)')} left out, {why}: {named}{more}."


def _faint(framed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask that is thinner than half a pixel at working size: its highest values."""
    faint: NDArray[np.uint8] = ((framed > 0) & (framed >= framed.max() / 2)).astype(np.uint8)
    return faint


def split(mask: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Split a mask (h, w) {0, 1} into pieces that are several pixels apart, largest first.

    At most ``_MOST_PIECES`` are returned, so that a shower of dust does not fill the memory.
    """
    near = ndimage.binary_dilation(mask, iterations=_APART) if mask.any() else mask
    labels, count = ndimage.label(near)
    pixels = np.bincount(labels[mask > 0], minlength=count + 1)[1:]
    largest = np.argsort(-pixels, kind="stable")[:_MOST_PIECES] + 1
    return [((labels == one) & (mask > 0)).astype(np.uint8) for one in largest]


def _centre(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean place of a mask's pixels in 0..1."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return np.array([(rows.mean() + 0.5) / height, (columns.mean() + 0.5) / width], np.float32)
