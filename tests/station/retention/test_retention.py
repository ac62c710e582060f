"""Retention removes files as its settings say, never those that somebody still needs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, Part
from flawmap.station.database.tables.base import now
from flawmap.station.parts.write import NewPart
from flawmap.station.retention.conditions import removable
from flawmap.station.retention.preview import preview
from flawmap.station.retention.service import Retention
from flawmap.station.retention.settings import (
    RetentionSettings,
    read_settings,
    stored_bytes,
    write_settings,
)
from flawmap.station.review.decisions import decide, undo
from flawmap.station.review.drawing import Drawing, Polygon, draw
from inspection.records import make_record
from station.conftest import ClientAs
from station.filling import MODEL, add_product, add_user
from station.imaged import add_imaged
from station.postgres import on_both

DAY = 24 * 3_600_000_000
SCRATCH = Drawing(
    type="scratch", shape="polygon", geometry=Polygon(points=[(1, 1), (20, 1), (20, 20)])
)


def age(station: Station, part_id: int, days: float) -> None:
    with station.database.write() as session:
        moved = update(Part).where(Part.id == part_id)
        session.execute(moved.values(received_at=now() - round(days * DAY)))


def remove(station: Station, **settings: object) -> None:
    with station.database.write() as session:
        write_settings(session, RetentionSettings(**settings))
    service = Retention(station.database, station.files)
    while service.remove_some():
        pass


def kept(station: Station) -> set[int]:
    """Ids of the parts that have their files, after a check that rows and files agree."""
    with station.database.read() as session:
        parts = session.scalars(select(Part)).all()
    for part in parts:
        image = station.files.image_path(part.image, part.suffix).exists()
        a_map = station.files.map_path(part.image, MODEL).exists()
        assert image == a_map == any(p.has_image for p in parts if p.image == part.image)
        assert part.has_image or "Removed" in part.note
    return {part.id for part in parts if part.has_image}


@on_both
def test_each_verdict_has_its_time(station: Station) -> None:
    ids = {}
    for seed, (verdict, days) in enumerate([("good", 2), ("good", 9), ("reject", 9)]):
        ids[verdict, days] = add_imaged(station, seed=seed, verdict=verdict)
        age(station, ids[verdict, days], days)
    remove(station)
    assert kept(station) == set(ids.values())
    remove(station, good_days=7)
    assert kept(station) == {ids["good", 2], ids["reject", 9]}
    remove(station, good_days=1, reject_days=30)
    assert kept(station) == {ids["reject", 9]}


def test_what_people_reviewed_stays_unless_they_say_so(station: Station) -> None:
    part = add_imaged(station)
    age(station, part, 9)
    with station.database.write() as session:
        session.get_one(Part, part).reviewers = 1
    remove(station, good_days=1)
    assert kept(station) == {part}
    remove(station, good_days=1, reviewed_too=True)
    assert kept(station) == set()


@on_both
def test_what_people_drew_on_stays_with_all_parts_that_show_it(station: Station) -> None:
    drawn, same, other = (add_imaged(station, seed=seed, verdict="review") for seed in (0, 0, 1))
    for part in (drawn, same, other):
        age(station, part, 9)
    user = add_user(station.database, "anna", "operator")
    with station.database.write() as session:
        draw(session, drawn, user, SCRATCH)
    with station.database.read() as session:
        assert preview(session, RetentionSettings(review_days=1)).parts == 1
    remove(station, review_days=1, megabytes=1)
    assert kept(station) == {drawn, same}
    with station.database.write() as session:
        undo(session, user)
    remove(station, review_days=1)
    assert kept(station) == set()


@on_both
def test_what_people_review_meanwhile_stays(station: Station) -> None:
    """Somebody decides on one part, and draws on another, after the removal has chosen them."""
    ids = [add_imaged(station, seed=seed) for seed in range(3)]
    for part in ids:
        age(station, part, 9)
    user = add_user(station.database, "anna", "operator")

    class Overtaken(Retention):
        def _remove(self, *chosen: Any) -> int:
            assert {part.id for part in chosen[0]} == set(ids)
            with station.database.write() as session:
                decide(session, ids[0], user, "good")
                draw(session, ids[1], user, SCRATCH)
            return super()._remove(*chosen)

    with station.database.write() as session:
        write_settings(session, RetentionSettings(good_days=1))
    assert Overtaken(station.database, station.files).remove_some() == 1
    assert kept(station) == set(ids[:2])


def test_a_look_reads_indices_only(station: Station) -> None:
    if not station.database.is_sqlite:
        pytest.skip("SQLite's plans are read here")
    chosen = select(Part.id).where(Part.verdict == "good", removable(RetentionSettings()))
    literal = {"literal_binds": True}
    statement = str(chosen.compile(station.database.engine, compile_kwargs=literal))
    with station.database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        steps = [row[3] for row in plan if "SEARCH" in row[3] or "SCAN" in row[3]]
    used = ("ix_parts_stored", "COVERING INDEX ix_parts_image", "ix_drawn_defects_part_id")
    for step, index in zip(steps, used, strict=True):
        assert step.startswith("SEARCH"), step
        assert f"{index} " in step, step


def test_a_shared_image_stays_with_the_last_part_that_needs_it(station: Station) -> None:
    old, new = add_imaged(station), add_imaged(station)
    age(station, old, 9)
    remove(station, good_days=7)
    assert kept(station) == {new}
    age(station, new, 9)
    remove(station, good_days=7)
    assert kept(station) == set()


def test_size_takes_the_oldest_good_parts_first(station: Station) -> None:
    size = (400, 400)  # about 0.5 MB each
    reject = add_imaged(station, seed=0, verdict="reject", size=size)
    good = [add_imaged(station, seed=seed, size=size) for seed in range(1, 5)]
    for days, part in enumerate([*reversed(good), reject], 1):
        age(station, part, days)
    with station.database.read() as session:
        assert stored_bytes(session) > 2_000_000
    remove(station, megabytes=1)
    assert kept(station) == {reject, good[-1]}
    with station.database.read() as session:
        assert stored_bytes(session) <= 1_000_000


def test_settings_over_the_api(station: Station, client_as: ClientAs) -> None:
    path = "/api/v1/retention"
    part = add_imaged(station)
    age(station, part, 9)
    wanted = RetentionSettings(good_days=30).model_dump()
    assert client_as("operator").put(path, json=wanted).status_code == 403
    engineer = client_as("engineer")
    assert engineer.put(path, json=wanted | {"good_days": 0}).status_code == 422
    assert engineer.put(path, json=wanted).json()["settings"] == wanted
    assert client_as("operator").get(path).json()["megabytes"] > 0
    with station.database.read() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.subject == "retention"))
    assert entry.details == wanted


@on_both
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"good_days": 7},
        {"good_days": 7, "reject_days": 7, "error_days": 1},
        {"good_days": 1, "reviewed_too": True},
        {"megabytes": 1},
        {"megabytes": 1, "reject_days": 7, "reviewed_too": True},
        {"megabytes": 1, "good_days": 2},
    ],
)
def test_the_preview_says_what_will_be_removed(
    station: Station, settings: dict[str, object]
) -> None:
    for seed, (verdict, days) in enumerate(
        [("good", 2), ("good", 9), ("reject", 9), ("reject", 1), ("good", 30)]
    ):
        age(station, add_imaged(station, seed=seed, verdict=verdict, size=(400, 400)), days)
    age(station, add_imaged(station, seed=1, size=(400, 400)), 3)  # shows the file of another part
    with station.database.write() as session:
        session.get_one(Part, 5).reviewers = 1
        session.get_one(Part, 3).verdict = None  # an error: older than all but one
    before = kept(station)
    with station.database.read() as session:
        expected = preview(session, RetentionSettings(**settings))
        stored = stored_bytes(session)
    remove(station, **settings)
    with station.database.read() as session:
        assert expected == (len(before - kept(station)), stored - stored_bytes(session))


def test_the_page_asks_before_it_removes(station: Station, client_as: ClientAs) -> None:
    age(station, add_imaged(station), 9)
    assert client_as("operator").get("/storage").status_code == 403
    engineer = client_as("engineer")
    wanted = {"good_days": "7", "reject_days": "", "reviewed_too": "true"}
    asked = engineer.post("/storage", data=wanted)
    assert "Images of 1 part (0.1 MB) will be removed" in asked.text
    assert 'name="good_days" type="number" min="1" max="36500" step="1" value="7"' in asked.text
    with station.database.read() as session:
        assert read_settings(session) == RetentionSettings()
    assert "Saved" in engineer.post("/storage", data=wanted | {"confirmed": "true"}).text
    with station.database.read() as session:
        assert read_settings(session) == RetentionSettings(good_days=7, reviewed_too=True)


def test_what_removes_nothing_is_saved_at_once(station: Station, client_as: ClientAs) -> None:
    age(station, add_imaged(station), 9)
    engineer = client_as("engineer")
    assert "Saved" in engineer.post("/storage", data={"good_days": "30"}).text
    assert engineer.post("/storage", data={"good_days": "0"}).status_code == 422
    with station.database.read() as session:
        assert read_settings(session).good_days == 30


def test_a_full_disk_takes_rows_and_no_images(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station.files, "_reserve", 10**18)
    outcome = make_record(error="no image", image="ab" * 32)
    product = add_product(station.database)
    part = NewPart(
        product, outcome, b"data", ".png", now(), "http", number="a\0b\ud800", fields={"x": "\0"}
    )
    (row,) = station.writer.store([part])
    assert not row.has_image
    assert "MB of the disk are free. Remove files" in row.note
    assert (row.number, row.fields) == ("a\ufffdb?", {"x": "\ufffd"})
    assert list(station.files.folder.glob("images/*/*")) == []
