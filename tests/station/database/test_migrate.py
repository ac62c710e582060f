"""Migrations: a database of any age gets the tables of the code, with its rows."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from flawmap.errors import FlawmapError
from flawmap.station.database.engine import Database
from flawmap.station.database.migrate import upgrade
from flawmap.station.database.tables import Base, HourCount, Part
from flawmap.station.insight.trends.hours import HourCounter
from station.filling import fill

LATER = ("cursors", "drift_tests", "hour_counts", "kept")  # tables that 0002 adds
LATER += ("learning_images", "trial_verdicts")  # 0003


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    return Database(request.getfixturevalue("postgres_url"))


def test_migrations_give_the_tables_of_the_code(empty: Database) -> None:
    upgrade(empty.engine, "0001")
    upgrade(empty.engine)
    assert differences(empty) == []


def test_a_new_database_has_the_tables_of_the_code(empty: Database) -> None:
    empty.upgrade()
    assert differences(empty) == []
    empty.upgrade()  # nothing to do


def test_an_older_database_keeps_its_rows_and_is_counted(
    empty: Database, caplog: pytest.LogCaptureFixture
) -> None:
    empty.upgrade()
    fill(empty, 100)
    with empty.read() as session:
        parts = session.execute(select(Part.__table__)).mappings().all()
    empty.engine.dispose()
    with empty.engine.begin() as connection:  # as the first version had left it
        for table in LATER:
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    empty.upgrade()
    assert "brought up to date" in caplog.text
    assert differences(empty) == []
    with empty.read() as session:
        assert session.execute(select(Part.__table__)).mappings().all() == parts
    counter, until = HourCounter(empty), time.monotonic() + 30.0
    while counted(empty) < 100:  # PostgreSQL's rows wait for transactions that may still commit
        assert time.monotonic() < until
        counter.step()
        time.sleep(0.1)
    assert counted(empty) == 100


def test_a_newer_database_is_refused(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FlawmapError, match=r"A newer flawmap .* version 9999.*update"):
        empty.upgrade()


def counted(database: Database) -> int:
    with database.read() as session:
        rows = session.scalars(select(HourCount)).all()
    return sum(row.good + row.review + row.reject + row.errors for row in rows)


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)


def test_a_failed_migration_changes_nothing(empty: Database) -> None:
    upgrade(empty.engine, "0001")
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE hour_counts (x INTEGER)"))
    with pytest.raises(Exception, match="hour_counts"):
        upgrade(empty.engine)
    with empty.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
