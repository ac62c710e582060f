"""Hourly roll-ups, kept in the transaction that stores the parts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, PartHour

HOUR = 3_600_000_000  # microseconds
BINS = 20  # of p-values from 0 to 1
_Key = tuple[int, int, str, str, str]


def count_in_hours(session: Session, parts: Sequence[Part]) -> None:
    """Add parts to the roll-ups of their hours; a listener of PartWriter.

    Another process that counts in the same hour waits for this transaction: rows are locked in one
    order, so that two never wait for each other.
    """
    rows: dict[_Key, PartHour] = {}
    for key in sorted({_key(part) for part in parts}):
        rows[key] = _row(session, key)
    for part in parts:
        _add(rows[_key(part)], part)


def _key(part: Part) -> _Key:
    hour = part.received_at - part.received_at % HOUR
    return part.product_id, hour, part.line or "", part.model, part.settings


def _row(session: Session, key: _Key) -> PartHour:
    product_id, hour, line, model, settings = key
    values: dict[str, int | str] = {
        "product_id": product_id,
        "hour": hour,
        "line": line,
        "model": model,
        "settings": settings,
    }
    found = session.get(PartHour, values, with_for_update=True)
    if found is not None:
        return found
    _insert_unless_there(session, values)
    return session.get_one(PartHour, values, with_for_update=True)


def _insert_unless_there(session: Session, values: dict[str, int | str]) -> None:
    """Insert an empty row; two processes may do so at once."""
    empty = values | {"p_values": [0] * BINS}
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    counts = dict.fromkeys(("good", "review", "reject", "errors", "defects"), 0)
    sums = dict.fromkeys(("score_sum", "score_squares", "total_ms", "slowest_ms"), 0.0)
    session.execute(insert(PartHour).values(**empty, **counts, **sums).on_conflict_do_nothing())


def _add(row: PartHour, part: Part) -> None:
    row.total_ms += part.total_ms or 0.0
    row.slowest_ms = max(row.slowest_ms, part.total_ms or 0.0)
    if part.verdict is None or part.score is None or part.p_value is None:
        row.errors += 1
        return
    setattr(row, part.verdict, getattr(row, part.verdict) + 1)
    row.defects += part.defects or 0
    row.score_sum += part.score
    row.score_squares += part.score**2
    bins = list(row.p_values)  # a new list, so that the change is seen
    bins[min(BINS - 1, int(part.p_value * BINS))] += 1
    row.p_values = bins
