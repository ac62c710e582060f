"""Messages to other systems: what they say of a part."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from flawmap.station.database.tables import OutboxMessage, Part
from flawmap.station.database.tables.base import now


class Outgoing(NamedTuple):
    """A message on its way: `id` stays the same however often it is sent."""

    row_id: int
    id: str
    payload: dict[str, Any]
    created_at: int
    attempts: int


def outgoing(row: OutboxMessage) -> Outgoing:
    """Return a stored message as it is sent."""
    return Outgoing(row.id, row.payload["message"], row.payload, row.created_at, row.attempts)


def part_payload(part: Part, product: str, address: str) -> dict[str, Any]:
    """Return what is sent of a part; `address`: of the station, as browsers reach it."""
    return {
        "message": uuid.uuid4().hex,
        "kind": "part",
        "part": part.id,
        "number": part.number,
        "product": product,
        "line": part.line,
        "source": part.source,
        "fields": part.fields,
        "received_at": part.received_at,
        "verdict": part.verdict,
        "score": part.score,
        "error": part.error,
        "url": f"{address}/parts/{part.id}",
        "record": part.record,
    }


def trial_payload(address: str) -> dict[str, Any]:
    """Return a message that is about no part."""
    return {
        "message": uuid.uuid4().hex,
        "kind": "test",
        "product": "test",
        "line": None,
        "verdict": None,
        "received_at": now(),
        "url": address,
    }
