"""Images that each have a file of labels beside them, under a name with a given end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.data.listing.images import Folder
from flawmap.data.samples import plural
from flawmap.utils.printable import printable


@dataclass(frozen=True)
class Pairs:
    """Images with their labels, and ``bare`` ones that have none."""

    labelled: tuple[tuple[Path, Path], ...]
    bare: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Folder | None, end: str) -> Pairs:
        """The images directly in a folder; ``end``: what a label's stem has more, in lower case."""
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
        """What to say of images without label that are left out; nothing where there are none."""
        if not bare:
            return ()
        return (
            f"{plural(len(bare), 'image(s)')} without label left out, such as "
            f"{printable(bare[0])}: add NAME{end}, black all over for a good part",
        )
