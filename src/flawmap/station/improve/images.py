"""Images of good parts that a product is learned from: decoded when they come, kept by digest."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.data.image_io.images import ImageError, read_image
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import LearningImage
from flawmap.station.database.tables.base import now
from flawmap.station.improve.products import get_product
from flawmap.station.intake.kind import suffix_of
from flawmap.station.parts.files import FileStore
from flawmap.station.refusals import RefusedError
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller

MOST = 20_000
"""Images of a product, at most."""


def learning_folder(config: StationConfig) -> Path:
    """Return the folder of all that inspectors are made from, and of those made here."""
    return config.data.absolute() / "learning"


def learning_files(config: StationConfig) -> FileStore:
    """Return the store of images to learn from: apart from parts, whose images may be removed."""
    return FileStore(learning_folder(config))


@dataclass
class Added:
    """What became of uploaded images, by their place in the upload."""

    ids: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


class _Checked(NamedTuple):
    place: int
    digest: str
    suffix: str
    size: tuple[int, int]
    data: bytes


def add_images(
    station: Station, caller: Caller | None, product_id: int, images: Sequence[bytes]
) -> Added:
    """Decode images, and keep those that are images and new to the product.

    Raises RefusedError without such a product or with too many images.
    """
    added = Added()
    checked = [one for place, data in enumerate(images) if (one := _check(place, data, added))]
    files = learning_files(station.config)
    for one in checked:
        files.put_image(one.digest, one.suffix, one.data)
    with station.database.write() as session:
        product = get_product(session, product_id)
        if count_images(session, product_id) + len(checked) > MOST:
            raise RefusedError(f"A product has at most {MOST} images to learn from.")
        own = select(LearningImage.image).where(LearningImage.product_id == product_id)
        digests = [one.digest for one in checked]
        known = set(session.scalars(own.where(LearningImage.image.in_(digests))))
        for one in checked:
            if one.digest in known:
                added.known.append(one.place)
                continue
            known.add(one.digest)
            added.ids.append(_insert(session, caller, product_id, one))
        if added.ids:
            audit.record(session, caller, "product.images", product.name, added=len(added.ids))
    return added


def _check(place: int, data: bytes, added: Added) -> _Checked | None:
    suffix = suffix_of(data)
    try:
        if not suffix:
            raise ImageError("it is no PNG, JPEG, BMP, TIFF or WebP image")
        height, width, _ = read_image(data, name="the image").shape
    except ImageError as error:
        added.refused[place] = f"Not an image that can be used: {error}."
        return None
    return _Checked(place, hashlib.sha256(data).hexdigest(), suffix, (height, width), data)


def _insert(session: Session, caller: Caller | None, product_id: int, one: _Checked) -> int:
    row = LearningImage(
        product_id=product_id,
        image=one.digest,
        suffix=one.suffix,
        height=one.size[0],
        width=one.size[1],
        user_id=None if caller is None else caller.user_id,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    return row.id


def remove_image(session: Session, caller: Caller, product_id: int, image_id: int) -> None:
    """Learn no longer from an image; its file stays, as inspectors may have learned from it."""
    product = get_product(session, product_id)
    row = session.get(LearningImage, image_id) if 0 < image_id < 2**63 else None
    if row is None or row.product_id != product_id:
        raise RefusedError("There is no such image: load the page again.", 404)
    audit.record(session, caller, "product.image_remove", product.name, image=row.image)
    session.delete(row)


def count_images(session: Session, product_id: int) -> int:
    """Return the number of images to learn a product from."""
    own = select(func.count()).where(LearningImage.product_id == product_id)
    return session.scalar(own) or 0


def all_images(session: Session, product_id: int) -> Sequence[LearningImage]:
    """Return all images to learn a product from, in the order in which they came."""
    own = select(LearningImage).where(LearningImage.product_id == product_id)
    return session.scalars(own.order_by(LearningImage.id)).all()


def newest_images(session: Session, product_id: int, most: int) -> Sequence[LearningImage]:
    """Return the last images to learn a product from, the newest first."""
    own = select(LearningImage).where(LearningImage.product_id == product_id)
    return session.scalars(own.order_by(LearningImage.id.desc()).limit(most)).all()


def sizes(session: Session, product_id: int) -> Counter[tuple[int, int]]:
    """Return how many images have which width and height."""
    columns = (LearningImage.width, LearningImage.height)
    query = select(*columns, func.count()).where(LearningImage.product_id == product_id)
    rows = session.execute(query.group_by(*columns))
    return Counter({(width, height): count for width, height, count in rows})
