"""Stored results of a range of parts as arrays."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from flawmap.inspection.record import InspectionRecord
from flawmap.station.database.tables import Part, Review
from flawmap.station.insight.sampling import is_sampled
from flawmap.station.insight.versions import Settings, settings_of, versions_of

MOST = 250_000  # parts of a range at most: the newest
LATE = 200  # ids: so many may be higher than that of a row which PostgreSQL shows only later
VERDICTS = ("good", "review", "reject")
DECISIONS = ("good", "reject")  # a reviewer's; unsure counts as none
_CODES = {name: code for code, name in enumerate(VERDICTS)}
_DECIDED = {name: code for code, name in enumerate(DECISIONS)}


class Range(NamedTuple):
    """Parts of a product received from `start` on and before `end`, of one line or of all."""

    product_id: int
    start: int
    end: int
    line: str | None = None


class Mark(NamedTuple):
    """From when stored parts are: highest ids of parts and reviews, and the sum of the last ones.

    What is stored or decided later has a higher id; the sum changes if PostgreSQL shows a row only
    after others with higher ids.
    """

    part: int
    review: int
    sum: int


class Kind(NamedTuple):
    """What parts of one model and one settings version share.

    `settings` is none if no version of the product has these.
    """

    record: InspectionRecord
    settings: Settings | None


class DefectLists(NamedTuple):
    """Stored defects of all parts (d,): index of their part, rounded area, and highest value."""

    part: NDArray[np.intp]
    area: NDArray[np.float64]
    peak: NDArray[np.float64]


@dataclass(eq=False)
class StoredParts:
    """Parts (n,) with a verdict, newest first; `kind` indexes `kinds`.

    `mark`: from when they are. `verdict` indexes VERDICTS and `decision` DECISIONS, where -1 is
    none. `truncated`: the range holds more parts. `regions` is what :mod:`.maps` measured of maps,
    by the parts' ids, kept for the next question.
    """

    range: Range
    mark: Mark
    id: NDArray[np.int64]
    received_at: NDArray[np.int64]
    score: NDArray[np.float64]
    verdict: NDArray[np.int8]
    decision: NDArray[np.int8]
    sampled: NDArray[np.bool_]
    defects: NDArray[np.int32]
    has_map: NDArray[np.bool_]
    kind: NDArray[np.int32]
    kinds: list[Kind]
    truncated: bool
    lists: DefectLists | None = None
    regions: dict[Any, dict[int, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self.id)


def within(chosen: Range, product: Any = Part.product_id, at: Any = Part.received_at) -> list[Any]:
    """Return the conditions that parts of a range meet."""
    conditions = [product == chosen.product_id, at >= chosen.start, at < chosen.end]
    return conditions if chosen.line is None else [*conditions, Part.line == chosen.line]


COLUMNS = (
    Part.id, Part.received_at, Part.score, Part.verdict, Part.decision, Part.image, Part.defects,
    Part.has_map, Part.model, Part.settings,
)  # fmt: skip


def mark_of(session: Session) -> Mark:
    """Return the mark of now, by two looks at the end of an index."""
    (part, parts), (review, reviews) = (_newest(session, id) for id in (Part.id, Review.id))
    return Mark(part, review, parts + reviews)


def _newest(session: Session, id: Any) -> tuple[int, int]:
    """Return the highest id, and the sum of the last ones."""
    last = select(id.label("id")).order_by(id.desc()).limit(LATE).subquery()
    highest, total = session.execute(select(func.max(last.c.id), func.sum(last.c.id))).one()
    return highest or 0, int(total or 0)


def load(session: Session, chosen: Range) -> StoredParts:
    """Load the newest parts of a range that have a verdict."""
    mark = mark_of(session)
    newest = select(*COLUMNS).where(*within(chosen), Part.score.is_not(None))
    newest = newest.order_by(Part.received_at.desc(), Part.id.desc()).limit(MOST + 1)
    rows = session.execute(newest).all()
    return of_rows(session, chosen, mark, rows[:MOST], truncated=len(rows) > MOST)


def of_rows(
    session: Session, chosen: Range, mark: Mark, rows: Sequence[Any], *, truncated: bool
) -> StoredParts:
    """Return parts of a range from rows of `COLUMNS`."""
    ids, times, scores, verdicts, decisions, images, defects, maps, models, settings = (
        zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    )
    pairs = list(zip(models, settings, strict=True))
    first = {pair: ids[i] for i, pair in reversed(list(enumerate(pairs)))}
    order = {pair: i for i, pair in enumerate(first)}
    return StoredParts(
        chosen,
        mark,
        id=np.array(ids, np.int64),
        received_at=np.array(times, np.int64),
        score=np.array(scores, np.float64),
        verdict=np.array([_CODES[one] for one in verdicts], np.int8),
        decision=np.array([_DECIDED.get(one, -1) for one in decisions], np.int8),
        sampled=np.array([is_sampled(one) for one in images], bool),
        defects=np.array([one or 0 for one in defects], np.int32),
        has_map=np.array(maps, bool),
        kind=np.array([order[pair] for pair in pairs], np.int32),
        kinds=_kinds(session, chosen.product_id, list(first.values())),
        truncated=truncated,
    )


def _kinds(session: Session, product_id: int, ids: list[int]) -> list[Kind]:
    """Return one record of each kind with the settings that judged it, in the order of `ids`."""
    by_name: dict[str, Settings] = {}
    for version in versions_of(session, product_id, most=1000):
        settings = settings_of(version)
        by_name |= dict.fromkeys(settings.ids.values(), settings)
    query = select(Part.id, Part.record).where(Part.id.in_(ids))
    found = {id: record for id, record in session.execute(query)}  # noqa: C416  rows are tuples
    records = [InspectionRecord.model_validate(found[one]) for one in ids]
    return [Kind(record, by_name.get(record.settings)) for record in records]


def load_defects(session: Session, stored: StoredParts) -> DefectLists:
    """Return the defects of all parts, read from the database the first time."""
    with stored.lock:
        if stored.lists is None:
            stored.lists = read_defects(session, stored, within(stored.range))
        return stored.lists


def read_defects(session: Session, stored: StoredParts, conditions: Sequence[Any]) -> DefectLists:
    """Return the defects of stored parts, all of which meet the conditions."""
    place = {int(one): index for index, one in enumerate(stored.id)}
    query: Select[Any] = select(Part.id, Part.record["defects"])
    query = query.where(*conditions, Part.defects > 0)
    parts, areas, peaks = list[int](), list[float](), list[float]()
    for id, defects in session.execute(query):
        index = place.get(id)
        if index is None:
            continue  # arrived since, or is older than the newest
        parts += [index] * len(defects)
        areas += [float(one["area"]) for one in defects]
        peaks += [float(one["peak"]) for one in defects]
    return DefectLists(np.array(parts, np.intp), np.array(areas), np.array(peaks))
