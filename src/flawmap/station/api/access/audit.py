"""The audit log by the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from flawmap.station.context import StationOf
from flawmap.station.security.audit import find_entries
from flawmap.station.security.callers import Administrator

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


class Entry(BaseModel):
    """Something that was changed."""

    id: int
    created_at: int = Field(description="microseconds since 1970, UTC")
    user: str | None = Field(description="who did it; null: the station, or nobody logged in")
    key: str | None = Field(description="name of the API key with which it was done")
    action: str = Field(description="a thing and a verb, such as user.create")
    subject: str = Field(description="what was changed")
    details: dict[str, Any] = Field(description="values before and after, and the like")


class Entries(BaseModel):
    """A page of the audit log."""

    entries: list[Entry] = Field(description="the newest first")
    next: int | None = Field(description="`before` of the next page; null at the end")


@router.get("")
def list_entries(
    station: StationOf,
    caller: Administrator,
    text: Annotated[str, Query(max_length=100, description="in action, subject or name")] = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="an entry's id")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Entries:
    """List entries that contain a text, the newest first."""
    with station.database.read() as session:
        found = find_entries(session, text, before, limit + 1)
    shown = found[:limit]
    entries = [Entry(**one._asdict()) for one in shown]
    return Entries(entries=entries, next=shown[-1].id if len(found) > limit else None)
