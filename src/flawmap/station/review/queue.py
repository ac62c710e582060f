"""The review queue: which parts a person looks at next.

Each order is a list of ranges of one index of the parts, which are merged: a page of the queue
costs the same with a thousand and with a million parts. An order that weighs parts against each
other does so among the first thousand.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, PartLock, Product, Review
from flawmap.station.insight.sampling import in_sample
from flawmap.station.review import learning_order
from flawmap.station.review.levels import reject_level
from flawmap.station.review.locks import held_by_others

Which = Literal["flagged", "review", "all", "sample", "errors"]
"""Open parts that the queue has: reject and review, those to review, or good ones as well; those of
the random sample from which error rates are estimated (`insight.sampling`); or those that could not
be inspected."""
WHICH: tuple[Which, ...] = get_args(Which)
_VERDICTS: dict[Which, tuple[str | None, ...]] = {
    "flagged": ("review", "reject"),
    "review": ("review",),
    "all": ("review", "reject", "good"),
    "sample": ("review", "reject", "good"),
    "errors": (None,),
}
_MIX, _BUCKETS = 7919, 10_000  # choose parts for a second look by their number, always the same

Ranges = Callable[
    [Session, str | None, Sequence[int]], list[tuple[Select[Any], Callable[[Part], Any]]]
]
"""(session, verdict, product ids) -> queries in order, with the key that merges them."""


@dataclass(frozen=True)
class Order:
    """One order of the queue."""

    title: str
    says: str
    ranges: Ranges
    weighs: bool = False  # whether the first `learning_order.MOST` parts are weighed


@dataclass(frozen=True)
class Wish:
    """What a person wants to review. `second`: share of other people's parts to see again."""

    order: str = "nearest"
    which: Which = "flagged"
    product_id: int | None = None
    second: float = 0.0


def next_parts(
    session: Session, user_id: int, wish: Wish, count: int, skip: Collection[int] = ()
) -> list[Part]:
    """Return the next parts for a person, without those that others have open.

    `skip`: parts that the person has seen and put off.
    """
    parts = _second_looks(session, user_id, wish, count, skip)
    if len(parts) < count:
        parts += _open_parts(session, user_id, wish, count - len(parts), skip)
    return parts


def count_open(session: Session, wish: Wish) -> int:
    """Return how many parts are in the queue, second looks not counted."""
    verdicts = or_(*(_has(verdict) for verdict in _VERDICTS[wish.which]))
    query = select(func.count()).where(Part.decision.is_(None), verdicts)
    return session.scalar(query.where(*_of_product(wish))) or 0


def count_since(session: Session, user_id: int, since: int) -> int:
    """Return how many parts a person has decided on since a moment; undone ones do not count."""
    own = (Review.user_id == user_id, Review.created_at >= since)
    undone = select(Review.undoes).where(*own, Review.undoes.is_not(None))
    query = select(func.count(Review.part_id.distinct())).where(
        *own, Review.action == "decide", Review.id.not_in(undone)
    )
    return session.scalar(query) or 0


def _open_parts(
    session: Session, user_id: int, wish: Wish, count: int, skip: Collection[int]
) -> list[Part]:
    conditions = [*_free(user_id, skip), *_of_product(wish)]
    if not ORDERS[wish.order].weighs or wish.which == "errors":  # errors have nothing to weigh
        return _merged(session, wish, conditions, count)
    few = _merged(session, wish, conditions, learning_order.MOST, learning_order.COLUMNS)
    return learning_order.most_teaching(session, few, count)


def _merged(
    session: Session,
    wish: Wish,
    conditions: Sequence[Any],
    count: int,
    columns: Sequence[Any] = (Part,),
) -> list[Any]:
    """Return the first parts of all ranges of an order, or rows of some `columns` of them."""
    products = [wish.product_id] if wish.product_id else list(session.scalars(select(Product.id)))
    streams = []
    for verdict in _VERDICTS[wish.which]:
        for query, key in ORDERS[wish.order].ranges(session, verdict, products):
            found = session.execute(
                query.where(*conditions).with_only_columns(*columns).limit(count)
            )
            streams.append(_keyed(found if len(columns) > 1 else found.scalars(), key))
    merged = heapq.merge(*streams, key=lambda pair: pair[0])
    return [part for _, (_, part) in zip(range(count), merged, strict=False)]


def _keyed(rows: Iterable[Any], key: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    return ((key(row), row) for row in rows)


def _free(user_id: int, skip: Collection[int]) -> list[Any]:
    locked = select(PartLock.part_id).where(*held_by_others(user_id))
    return [Part.id.not_in(locked), *([Part.id.not_in(skip)] if skip else [])]


def _of_product(wish: Wish) -> list[Any]:
    conditions: list[Any] = [in_sample()] if wish.which == "sample" else []
    return (
        conditions if wish.product_id is None else [*conditions, Part.product_id == wish.product_id]
    )


def _second_looks(
    session: Session, user_id: int, wish: Wish, count: int, skip: Collection[int]
) -> list[Part]:
    """Return parts that one other person has decided on: the same ones for everybody.

    Their verdict does not matter: all of them were in somebody's queue.
    """
    if wish.second <= 0.0:
        return []
    chosen = (Part.id * _MIX) % _BUCKETS < round(wish.second * _BUCKETS)
    query = (
        select(Part)
        .where(Part.reviewers == 1, Part.decided_by != user_id, chosen)
        .where(*_free(user_id, skip))
        .order_by(Part.decided_at, Part.id)
        .limit(count)
    )
    if wish.product_id is not None:
        query = query.where(Part.product_id + 0 == wish.product_id)  # not by the product's index
    return list(session.scalars(query))


def _nearest(
    session: Session, verdict: str | None, products: Sequence[int]
) -> list[tuple[Select[Any], Callable[[Part], Any]]]:
    """By the ratio of the p-value to the level of rejection: twice and half are equally near.

    Parts that could not be inspected have none: the oldest of them come first.
    """
    if verdict is None:
        return _by_time(newest=False)(session, verdict, products)
    ranges: list[tuple[Select[Any], Callable[[Part], Any]]] = []
    for product_id in products:
        level = reject_level(session, product_id)

        def distance(part: Part, level: float = level) -> tuple[float, int]:
            return abs(math.log((part.p_value or 1.0) / level)), part.id

        here = _open(verdict).where(Part.product_id == product_id)
        above = here.where(Part.p_value > level).order_by(Part.p_value, Part.id)
        below = here.where(Part.p_value <= level).order_by(Part.p_value.desc(), Part.id)
        ranges += [(above, distance), (below, distance)]
    return ranges


def _by_time(newest: bool) -> Ranges:
    sign = -1 if newest else 1
    columns = [Part.received_at, Part.id]

    def ranges(
        _session: Session, verdict: str | None, _products: Sequence[int]
    ) -> list[tuple[Select[Any], Callable[[Part], Any]]]:
        ordered = _open(verdict).order_by(*(c.desc() if newest else c for c in columns))
        return [(ordered, lambda part: (sign * part.received_at, sign * part.id))]

    return ranges


def _open(verdict: str | None) -> Select[Any]:
    return select(Part).where(Part.decision.is_(None), _has(verdict))


def _has(verdict: str | None) -> ColumnElement[bool]:
    return Part.verdict.is_(None) if verdict is None else Part.verdict == verdict


ORDERS = {
    "nearest": Order(
        "Nearest to threshold", "Where the inspector errs most often: near the level.", _nearest
    ),
    "teaches": Order(
        "Teaches most",
        "Likely defects that are unlike those reviewed before and unlike one another: for drawing "
        "what the inspector then learns from.",
        _nearest,
        weighs=True,
    ),
    "oldest": Order("Oldest first", "In the order in which they came.", _by_time(newest=False)),
    "newest": Order("Newest first", "The last ones first.", _by_time(newest=True)),
}
