"""The commands of docs/station/backup-and-restore.md, run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, select

from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part, Review
from flawmap.station.database.tables.base import now
from station.filling import add_user, fill
from station.imaged import add_imaged
from station.postgres import database as make_database

PAGE = Path(__file__).parents[3] / "docs" / "station" / "backup-and-restore.md"


def blocks(language: str) -> list[str]:
    """The page's code blocks in a language, without the start of a server."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [re.sub(r"^flawmap serve.*$", "", block, flags=re.MULTILINE) for block in found]


def shell(commands: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def rows(database: Database) -> list[tuple[object, ...]]:
    with database.read() as session:
        parts = session.execute(select(Part.__table__).order_by(Part.id)).all()
        reviews = session.execute(select(Review.__table__)).all()
    return [*map(tuple, parts), *map(tuple, reviews)]


def fill_with_reviews(database: Database) -> None:
    fill(database, 300)
    user = add_user(database, "reviewer", "operator")
    with database.write() as session:
        session.add(Review(part_id=7, user_id=user, created_at=now(), action="undo"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Station]:
    """A station whose folder is the page's, with its last changes in the write-ahead log."""
    station = Station.open(StationConfig(data=tmp_path / "station"))
    add_imaged(station)
    fill_with_reviews(station.database)
    yield station
    station.database.close()


@pytest.mark.posix
@pytest.mark.parametrize("tool", ["python", "sqlite3"])
def test_sqlite(running: Station, tmp_path: Path, tool: str) -> None:
    if tool == "python":
        (script,) = blocks("python")
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    else:
        if shutil.which("sqlite3") is None:
            pytest.skip("needs sqlite3: apt-get install sqlite3")
        (command,) = re.findall(r"`(sqlite3 .*?)`", PAGE.read_text(encoding="utf-8"))
        shell(command, tmp_path)
    shell(blocks("sh")[0], tmp_path)
    copy = Station.open(StationConfig(data=tmp_path / "backup" / "station"))
    assert rows(copy.database) == rows(running.database)
    with copy.database.read() as session:
        part = session.get_one(Part, 1)
    assert copy.files.image_path(part.image, ".png").read_bytes()
    assert copy.files.read_map(part.image, part.model).max() == pytest.approx(1.0)
    copy.database.close()


def test_postgresql(postgres_server: str, postgres_station_url: str, tmp_path: Path) -> None:
    before = Database(postgres_station_url)
    fill_with_reviews(before)
    expected = rows(before)
    url = make_url(postgres_station_url)
    where = {"PGHOST": str(url.host), "PGPORT": str(url.port), "PGUSER": "postgres"}
    dump, restore = blocks("sh")[1].strip().splitlines()
    shell(dump.replace("flawmap", str(url.database)), tmp_path, **where)
    with before.write() as session:
        session.get_one(Part, 1).note = "changed after the backup"
    before.close()
    shell(restore.replace("flawmap", str(url.database)), tmp_path, **where)
    elsewhere = next(empty := make_database(postgres_server, "template0"))
    shell(restore.replace("flawmap", str(make_url(elsewhere).database)), tmp_path, **where)
    for place in (postgres_station_url, elsewhere):
        database = Database(place)
        database.upgrade()  # nothing to do
        assert rows(database) == expected
        fill(database, 1)  # ids go on where they were
        assert len(rows(database)) == len(expected) + 1
        database.close()
    empty.close()
