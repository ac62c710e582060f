"""Bring a database to the tables of this version: an empty one at once, an older one step by step.

A new version of the tables is a file in `migrations/versions`, of which each says the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from flawmap.errors import FlawmapError
from flawmap.station.database.tables import Base

_LOCK = 7_305_791_406  # number of PostgreSQL's advisory lock: two stations start at once
_LOG = logging.getLogger("flawmap")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Create or change tables in one transaction, so that a failure changes nothing.

    Raises FlawmapError if a newer flawmap made the database.
    """
    with changing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        context = MigrationContext.configure(connection)
        present = context.get_current_revision()
        if present is None and revision == "head" and not inspect(connection).has_table("parts"):
            Base.metadata.create_all(connection)
            context.stamp(ScriptDirectory.from_config(config), "head")
            return
        _check_known(config, present)
        if present != _newest(config):
            _LOG.warning("The database is of an older flawmap: it is brought up to date.")
            command.upgrade(config, revision)


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction in which tables may be changed.

    SQLite changes a column by making its table anew. The rows that refer to it must not notice:
    references are checked at the end, not meanwhile.
    """
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys=OFF")  # ignored within a transaction
        try:
            with connection.begin():
                yield connection
                if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise FlawmapError(f"Rows of {broken[0]} refer to rows of {broken[2]} that "
                                       "are not there: restore a backup.")  # fmt: skip
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "flawmap.station.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _newest(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()


def _check_known(config: Config, present: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise FlawmapError(
            f"A newer flawmap made this database (its tables are of version {present}): update "
            "flawmap, or restore the backup that was made before."
        )
