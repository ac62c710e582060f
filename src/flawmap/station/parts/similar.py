"""A good part to look at beside a doubtful one: cheap to find, and called what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part
from flawmap.station.parts.files import FileStore

_NEAREST = 24  # good parts that are compared
_LOOKED_AT = 60  # good parts of each side among which are those with an image
_SIDE = 32  # pixels to which thumbnails are reduced for the comparison


class SimilarPart(NamedTuple):
    """A good part, and how it was chosen, as a phrase for people."""

    part: Part
    how: str


def similar_good_part(session: Session, files: FileStore, part: Part) -> SimilarPart | None:
    """Return the good part whose thumbnail differs least, among those nearest in time.

    Only parts of the same product with a stored image, which nobody rejected, are compared, and
    only by thumbnails that were already made: where there is none of `part` or of them, the one
    nearest in time is returned. None if there is no good part with an image.
    """
    near = _nearest(session, part)
    if not near:
        return None
    own = None if part.image is None else _reduced(files.thumbnail_path(part.image))
    made = [] if own is None else [(one, _thumbnail(files, one)) for one in near]
    differences = [
        (float(np.abs(own - other).mean()), one)
        for one, other in made
        if other is not None and own is not None and other.shape == own.shape
    ]
    if not differences:
        return SimilarPart(near[0], "the good part nearest in time")
    _, best = min(differences, key=lambda pair: pair[0])
    return SimilarPart(best, f"the most alike of {len(differences)} good parts nearest in time")


def _nearest(session: Session, part: Part) -> list[Part]:
    """Return good parts with an image, the nearest in time first."""
    good = select(Part).where(Part.product_id == part.product_id, Part.verdict == "good")
    older = good.where(Part.received_at <= part.received_at).order_by(Part.received_at.desc())
    newer = good.where(Part.received_at > part.received_at).order_by(Part.received_at)
    found = [*_usable(session, older, part), *_usable(session, newer, part)]
    return sorted(found, key=lambda one: abs(one.received_at - part.received_at))[:_NEAREST]


def _usable(session: Session, query: Select[Part], part: Part) -> Sequence[Part]:
    """Return those of the next good parts that have another image and were not corrected."""
    return [
        one
        for one in session.scalars(query.limit(_LOOKED_AT))
        if one.has_image and one.image != part.image and one.decision in (None, "good")
    ]


def _thumbnail(files: FileStore, part: Part) -> NDArray[np.float32] | None:
    return None if part.image is None else _reduced(files.thumbnail_path(part.image))


def _reduced(path: Path) -> NDArray[np.float32] | None:
    """Return a thumbnail as grey values (h, w) of few pixels; None if it was not made yet."""
    try:
        with Image.open(path, formats=["WEBP"]) as image:
            image.thumbnail((_SIDE, _SIDE))
            return np.asarray(image.convert("L"), dtype=np.float32)
    except OSError:
        return None
