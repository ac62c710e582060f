"""Migrations: a database of any age gets the tables of the code, with its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from flawmap.errors import FlawmapError
from flawmap.station.database.engine import Database
from flawmap.station.database.migrate import upgrade
from flawmap.station.database.tables import Base, Part, PartHour
from station.filling import fill


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


def test_an_older_database_keeps_its_rows(
    empty: Database, caplog: pytest.LogCaptureFixture
) -> None:
    empty.upgrade()
    fill(empty, 400, every=20.0)
    with empty.read() as session:
        expected = [values(row) for row in session.scalars(hours())]
        parts = session.execute(select(Part.__table__)).mappings().all()
    empty.engine.dispose()
    with empty.engine.begin() as connection:  # as the first version had left it
        connection.execute(text("DROP TABLE part_hours"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    empty.upgrade()
    assert "brought up to date" in caplog.text
    assert differences(empty) == []
    with empty.read() as session:
        assert session.execute(select(Part.__table__)).mappings().all() == parts
        found = [values(row) for row in session.scalars(hours())]
    assert len(found) == len(expected) >= 2
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other)


def test_a_newer_database_is_refused(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FlawmapError, match=r"A newer flawmap .* version 9999.*update"):
        empty.upgrade()


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)


def hours() -> object:
    return select(PartHour).order_by(PartHour.hour, PartHour.line)


def values(row: PartHour) -> list[object]:
    flat: list[object] = []
    for column in PartHour.__table__.columns:
        value = getattr(row, column.name)
        flat += value if isinstance(value, list) else [value]
    return [value for value in flat if not isinstance(value, str)]


def test_a_failed_migration_changes_nothing(empty: Database) -> None:
    upgrade(empty.engine, "0001")
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE part_hours (x INTEGER)"))
    with pytest.raises(Exception, match="part_hours"):
        upgrade(empty.engine)
    with empty.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
