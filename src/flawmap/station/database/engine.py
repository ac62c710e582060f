"""Connections to the station's database: SQLite in WAL mode, or PostgreSQL by its URL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError, UsageError
from flawmap.station.database.migrate import upgrade

_WRITES = "flawmap_writes"
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered part survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA cache_size=-16000",
)


class Database:
    """Transactions on the station's database, for any number of threads.

    SQLite has one writer at a time: writers of this process queue up instead of failing.
    """

    def __init__(self, url: str) -> None:
        """Connect. Raises UsageError for an unusable URL, FlawmapError if nobody answers there."""
        try:
            parsed = make_url(url)
            self.engine = create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20)
        except (ArgumentError, ImportError) as error:
            raise UsageError(
                f"Cannot use the database {url}: {error}. Give a URL such as "
                "postgresql+psycopg://user@host/name, or none for SQLite."
            ) from error
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer: Any = nullcontext()
        if self.is_sqlite:
            self._writer = threading.RLock()
            event.listen(self.engine, "connect", _set_pragmas)
            event.listen(self.engine, "begin", _begin)
        self._write_engine = self.engine.execution_options(**{_WRITES: True})
        self._check(parsed.render_as_string(hide_password=True))

    def _check(self, shown: str) -> None:
        try:
            with self.engine.connect():
                pass
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", error)).split())[:200]
            raise FlawmapError(f"Cannot open the database {shown}: {reason}.") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading; what it loads stays usable afterwards."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are committed at the end, or none of them on an error."""
        changes = Session(self._write_engine, expire_on_commit=False)
        with self._writer, changes as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Create all tables, or bring an older database's to this version.

        Raises FlawmapError if a newer flawmap made the database.
        """
        with self._writer:
            upgrade(self._write_engine)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin by `_begin`, not by the driver
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin as a writer at once, so that a transaction never fails on its first change."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
