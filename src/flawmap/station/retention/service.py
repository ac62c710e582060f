"""Service that removes images and maps that need not be kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.database.tables.base import now
from flawmap.station.insight.looking import Looking
from flawmap.station.parts.files import FileStore
from flawmap.station.retention.settings import (
    NAME,
    Days,
    RetentionSettings,
    read_settings,
    stored_bytes,
)

_DAY = 24 * 3_600_000_000  # microseconds
_TOGETHER = 200  # parts whose files are removed in one go
_PAUSE = 60.0  # seconds between two looks


class Retention(Looking):
    """Removes files a batch at a time, so that inspection never waits long for it."""

    name = NAME

    def __init__(self, database: Database, files: FileStore) -> None:
        super().__init__()
        self._database, self._files = database, files
        self._not_before = 0.0

    def step(self) -> bool:
        """Remove one batch, once a minute or as long as there is more."""
        if time.monotonic() < self._not_before:
            return False
        if self.remove_some():
            return True
        self._not_before = time.monotonic() + _PAUSE
        return False

    def look_now(self) -> None:
        """Look at the next step, as the settings have changed."""
        self._not_before = 0.0

    def remove_some(self) -> int:
        """Remove the files of some parts that need not be kept; return how many parts."""
        with self._database.read() as session:
            settings = read_settings(session)
            parts = self._too_old(session, settings) or self._too_many(session, settings)
        if parts:
            self._remove(*parts)
        return len(parts[0]) if parts else 0

    def _too_old(
        self, session: Session, settings: RetentionSettings
    ) -> tuple[Sequence[Part], str] | None:
        for verdict, days in _by_verdict(settings):
            if days is None:
                continue
            old = and_(Part.verdict.is_(verdict) if verdict is None else Part.verdict == verdict,
                       Part.received_at < now() - days * _DAY)  # fmt: skip
            if parts := _oldest(session, settings, old):
                return parts, f"Removed after {days} days."
        return None

    def _too_many(
        self, session: Session, settings: RetentionSettings
    ) -> tuple[Sequence[Part], str] | None:
        if settings.megabytes is None:
            return None
        beyond = stored_bytes(session) - settings.megabytes * 10**6
        if beyond <= 0:
            return None
        for condition in (Part.verdict == "good", Part.id > 0):
            found, freed = [], 0
            for part in _oldest(session, settings, condition):
                if freed >= beyond:
                    break
                found.append(part)
                freed += part.bytes or 0
            if found:
                return found, f"Removed, as images took more than {settings.megabytes} MB."
        return None

    def _remove(self, parts: Sequence[Part], why: str) -> None:
        """Let the rows say that files are gone, then remove those that no other row names."""
        ids = [part.id for part in parts]
        digests = {part.image for part in parts if part.image}
        gone: dict[str, Any] = {"has_image": False, "has_map": False, "note": why}
        with self._files.changing:
            with self._database.write() as session:
                session.execute(update(Part).where(Part.id.in_(ids)).values(**gone))
                named = select(Part.image).where(Part.image.in_(digests), Part.has_image)
                digests -= set(session.scalars(named))
            for digest in digests:
                self._files.remove(digest)


def create_service(station: Station) -> Retention:
    """Return the service that removes old files of a station."""
    return Retention(station.database, station.files)


def _by_verdict(settings: RetentionSettings) -> tuple[tuple[str | None, Days], ...]:
    return (
        ("good", settings.good_days),
        ("review", settings.review_days),
        ("reject", settings.reject_days),
        (None, settings.error_days),
    )


def _oldest(
    session: Session, settings: RetentionSettings, condition: ColumnElement[bool]
) -> Sequence[Part]:
    """Return parts with files that may be removed, the oldest first."""
    query = select(Part).where(condition, or_(Part.has_image, Part.has_map))
    if not settings.reviewed_too:
        other = aliased(Part)
        shared = exists().where(other.image == Part.image, other.reviewers > 0)
        query = query.where(Part.reviewers == 0, ~shared)
    return session.scalars(query.order_by(Part.received_at, Part.id).limit(_TOGETHER)).all()
