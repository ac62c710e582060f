"""Migrations: a database of any age gets the tables of the code, with its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, String, Table, select, text
from sqlalchemy.exc import IntegrityError

from flawmap.errors import FlawmapError
from flawmap.station.database.engine import Database
from flawmap.station.database.migrate import changing, upgrade
from flawmap.station.database.tables import ApiKey, Base, HourCount, Review
from flawmap.station.database.tables.base import now
from flawmap.station.insight.trends.hours import HourCounter
from station.filling import add_user, fill

FIRST = "0001"  # version of the tables


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    return Database(request.getfixturevalue("postgres_url"))


def test_migrations_give_the_tables_of_the_code(empty: Database) -> None:
    upgrade(empty.engine, FIRST)
    upgrade(empty.engine)
    assert differences(empty) == []


def test_a_new_database_has_the_tables_of_the_code(empty: Database) -> None:
    empty.upgrade()
    assert differences(empty) == []
    empty.upgrade()  # nothing to do


def test_an_older_database_keeps_its_rows_and_is_counted(
    empty: Database, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade(empty.engine, FIRST)
    fill(empty, 100)
    parts = rows_of_parts(empty)
    assert "map_bytes" not in parts[0]
    empty.upgrade()
    assert "brought up to date" in caplog.text
    assert differences(empty) == []
    new = {"map_bytes": None, "pattern": None}
    assert rows_of_parts(empty) == [{**row, **new} for row in parts]
    HourCounter(empty).step()
    assert counted(empty) == 100


def test_keys_lose_the_scope_that_admitted_to_nothing(empty: Database) -> None:
    upgrade(empty.engine, FIRST)
    maker = add_user(empty, "ann", "administrator")
    scopes = ["inspect read review manage", "review", "inspect read", "read review"]
    with empty.write() as session:
        for number, words in enumerate(scopes):
            key = ApiKey(name="press", digest=str(number), prefix="fm_", scopes=words)
            key.user_id, key.created_at = maker, now()
            session.add(key)
    empty.upgrade()
    with empty.read() as session:
        kept = session.scalars(select(ApiKey.scopes).order_by(ApiKey.id)).all()
    assert kept == ["inspect read manage", "", "inspect read", "read"]


def test_a_newer_database_is_refused(empty: Database) -> None:
    empty.upgrade()
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FlawmapError, match=r"A newer flawmap .* version 9999.*update"):
        empty.upgrade()


def rows_of_parts(database: Database) -> list[dict[str, object]]:
    """All columns of all parts that the database has."""
    with database.engine.connect() as connection:
        table = Table("parts", MetaData(), autoload_with=connection)
        rows = connection.execute(select(table).order_by(table.c.id))
        return [dict(row) for row in rows.mappings()]


def counted(database: Database) -> int:
    with database.read() as session:
        rows = session.scalars(select(HourCount)).all()
    return sum(row.good + row.review + row.reject + row.errors for row in rows)


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)


def test_a_failed_migration_changes_nothing(empty: Database) -> None:
    upgrade(empty.engine, FIRST)
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE hour_counts (x INTEGER)"))
    with pytest.raises(Exception, match="hour_counts"):
        upgrade(empty.engine)
    with empty.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == FIRST


def test_a_table_that_others_refer_to_can_be_made_anew(empty: Database) -> None:
    empty.upgrade()
    fill(empty, 20)
    review(empty, 3)
    parts = rows_of_parts(empty)
    with changing(empty.engine) as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("parts", recreate="auto") as table:
            table.alter_column("line", type_=String(200))
    assert rows_of_parts(empty) == parts
    with empty.read() as session:
        assert session.scalars(select(Review.part_id)).all() == [3]
    with pytest.raises(IntegrityError):
        review(empty, 99)  # references are checked again


def test_a_migration_that_breaks_a_reference_changes_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    database.upgrade()
    fill(database, 20)
    review(database, 3)
    with (
        pytest.raises(FlawmapError, match="Rows of reviews refer to rows of parts"),
        changing(database.engine) as connection,
    ):
        connection.execute(text("DELETE FROM parts WHERE id = 3"))
    assert len(rows_of_parts(database)) == 20


def review(database: Database, part_id: int) -> None:
    user = add_user(database, "reviewer", "operator")
    with database.write() as session:
        session.add(Review(part_id=part_id, user_id=user, created_at=now(), action="undo"))
