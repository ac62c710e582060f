"""Images with a label file beside each of them, named with a given ending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.data.listing.images import Folder
from flawmap.data.samples import plural
from flawmap.utils.printable import printable


@dataclass(frozen=True)
class Pairs:
    """Images with their labels, and ``bare`` images without."""

    labelled: tuple[tuple[Path, Path], ...]
    bare: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Folder | None, end: str) -> Pairs:
        """Pair the images in a folder; ``end``: lower-case suffix of a label's stem."""
        paths = () if folder is None else folder.files
        files = {path.stem.casefold(): path for path in paths}
        labels = {
            stem.removesuffix(end): path for stem, path in files.items() if stem.endswith(end)
        }
        images = [path for path in paths if not path.stem.casefold().endswith(end)]
        return cls(
            tuple((p, labels[p.stem.casefold()]) for p in images if p.stem.casefold() in labels),
            tuple(p for p in images if p.stem.casefold() not in labels),
        )

    @staticmethod
    def note(bare: Sequence[Path], end: str) -> tuple[str, ...]:
        """Return a note on images left out for lack of a label; empty if there are none."""
        if not bare:
            return ()
        return (
            f"{plural(len(bare), 'image(s)')} without label left out, such as "
            f"{printable(bare[0])}: add NAME{end}, black all over for a good part",
        )
