"""The order of reviews that teaches most, from what is stored with parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part
from flawmap.station.review.levels import reject_level, reject_threshold
from flawmap.station.review.teaching import choose, described, promise

MOST = 1_000
"""Open parts that are weighed against each other: those nearest to the threshold."""
COLUMNS = (Part.id, Part.product_id, Part.score, Part.p_value, Part.pattern)
"""What is read of them."""
_REVIEWED = 500  # reviewed parts of a product, the latest, that others are compared with


def most_teaching(session: Session, parts: Sequence[Any], count: int) -> list[Part]:
    """Return those of the queue's parts that teach most, in order; see `teaching.choose`.

    `parts`: rows of `COLUMNS`.
    """
    if not parts:
        return []
    products = np.array([part.product_id for part in parts])
    promises = np.zeros(len(parts))
    reviewed: list[bytes | None] = []
    whose: list[int] = []
    for product in sorted({part.product_id for part in parts}):
        own = products == product
        promises[own] = _promises(session, product, [p for p in parts if p.product_id == product])
        known = _reviewed(session, product)
        reviewed += known
        whose += len(known) * [product]
    chosen = choose(
        promises,
        described([part.pattern for part in parts]),
        described(reviewed),
        count,
        products,
        np.array(whose, np.int64),
    )
    ids = [parts[index].id for index in chosen]
    whole = select(Part).where(Part.id.in_(ids))
    by_id = {part.id: part for part in session.scalars(whole)}
    return [by_id[one] for one in ids]


def _promises(session: Session, product: int, parts: Sequence[Any]) -> NDArray[np.float64]:
    return promise(
        np.array([1.0 if part.p_value is None else part.p_value for part in parts]),
        reject_level(session, product),
        np.array([part.score or 0.0 for part in parts]),
        reject_threshold(session, product),
    )


def _reviewed(session: Session, product: int) -> list[bytes | None]:
    """Return the patterns of the product's latest parts that were decided on."""
    query = select(Part.pattern).where(Part.product_id == product, Part.decision.is_not(None))
    # by decision, too, as the index of reviewed parts is: the one of all parts would be read whole
    newest = query.order_by(Part.received_at.desc(), Part.decision.desc())
    return list(session.scalars(newest.limit(_REVIEWED)))
