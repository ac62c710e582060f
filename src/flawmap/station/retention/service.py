"""Service that removes images and maps that need not be kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.insight.looking import Looking
from flawmap.station.parts.files import FileStore
from flawmap.station.retention.conditions import has_verdict, removable, too_old
from flawmap.station.retention.settings import (
    NAME,
    RetentionSettings,
    read_settings,
    size_of,
    stored_bytes,
)

_TOGETHER = 200  # parts whose files are removed in one go
_PAUSE = 60.0  # seconds between two looks
_DOUBTFUL = ("review", "reject", None)  # verdicts whose parts are kept longest; None: errors


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
        return self._remove(*parts, removable(settings)) if parts else 0

    def _too_old(
        self, session: Session, settings: RetentionSettings
    ) -> tuple[Sequence[Part], str] | None:
        for days, old in too_old(settings):
            if found := _oldest(session, settings, old):
                return [part for part, _ in found], f"Removed after {days} days."
        return None

    def _too_many(
        self, session: Session, settings: RetentionSettings
    ) -> tuple[Sequence[Part], str] | None:
        if settings.megabytes is None:
            return None
        beyond = stored_bytes(session) - settings.megabytes * 10**6
        if beyond <= 0:
            return None
        found = _oldest(session, settings, has_verdict("good"))
        if not found:
            kinds = [_oldest(session, settings, has_verdict(one)) for one in _DOUBTFUL]
            found = sorted(chain(*kinds), key=_age)[:_TOGETHER]
        sizes = accumulate((size for _, size in found), initial=0)
        gone = [part for (part, _), freed in zip(found, sizes, strict=False) if freed < beyond]
        why = f"Removed, as images and maps took more than {settings.megabytes} MB."
        return (gone, why) if gone else None

    def _remove(self, parts: Sequence[Part], why: str, allowed: ColumnElement[bool]) -> int:
        """Let the rows say that files are gone, then remove those that no other row names.

        Parts that are not `allowed` any more, as somebody reviewed them since they were read, keep
        their files. Returns how many parts lost theirs.
        """
        ids = [part.id for part in parts]
        gone: dict[str, Any] = {"has_image": False, "has_map": False, "note": why}
        with self._files.changing:
            with self._database.write() as session:
                alike = Part.image.in_({part.image for part in parts})
                session.execute(select(Part.id).where(alike).with_for_update())  # nobody reviews
                change = update(Part).where(Part.id.in_(ids), allowed).values(**gone)
                change = change.execution_options(synchronize_session=False)
                images = session.scalars(change.returning(Part.image)).all()
                digests = set(images)
                named = select(Part.image).where(Part.image.in_(digests), Part.has_image)
                digests -= set(session.scalars(named))
                names = select(Part.image, Part.suffix, Part.model).distinct()
                files = session.execute(names.where(Part.image.in_(digests))).all()
            for digest, suffix, model in files:
                self._files.remove(str(digest), suffix or "", model)
        return len(images)


def create_service(station: Station) -> Retention:
    """Return the service that removes old files of a station."""
    return Retention(station.database, station.files)


def _oldest(
    session: Session, settings: RetentionSettings, condition: ColumnElement[bool]
) -> Sequence[tuple[Part, int]]:
    """Return parts with files that may be removed, and the size of these; the oldest first."""
    query = select(Part, size_of(Part)).where(condition, removable(settings))
    rows = session.execute(query.order_by(Part.received_at, Part.id).limit(_TOGETHER))
    return [(part, size) for part, size in rows]


def _age(found: tuple[Part, int]) -> tuple[int, int]:
    return found[0].received_at, found[0].id
