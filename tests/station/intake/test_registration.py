"""Runs that a station is started with: new ones judge, a restart undoes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, Model, Product
from flawmap.station.improve import models, products
from flawmap.station.intake.registration import register_runs
from flawmap.station.security.callers import Caller
from station.filling import add_user
from station.improving import add_model
from station.inspecting import draw_png, inspecting
from station.postgres import on_both


class Starts:
    """Starts of a station with runs; `said`: the lines of the last one."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self.caller = Caller("ann", "engineer", add_user(station.database, "ann", "engineer"))
        self.said: list[str] = []

    def __call__(self, *runs: str) -> set[int]:
        self.said = []
        return register_runs(self.station.database, runs, self.said.append)

    def products(self) -> list[tuple[str, int | None, bool]]:
        """Return name, live model and whether it is in use, of all products."""
        with self.station.database.read() as session:
            rows = session.scalars(select(Product).order_by(Product.id))
            return [(one.name, one.model_id, one.retired_at is None) for one in rows]

    def models(self) -> list[tuple[str, str]]:
        """Return the state and the folder's name of all models."""
        with self.station.database.read() as session:
            rows = session.scalars(select(Model).order_by(Model.id))
            return [(one.state, Path(one.folder).name) for one in rows]

    def actions(self) -> Sequence[str]:
        """Return the actions of the audit log."""
        with self.station.database.read() as session:
            return session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()


@pytest.fixture
def start(station: Station) -> Starts:
    return Starts(station)


@on_both
def test_a_promoted_model_stays_after_a_restart(
    start: Starts, tiny_run: Path, run_copy: Path
) -> None:
    assert start(f"board={tiny_run}") == {1}
    candidate = add_model(start.station, 1, "candidate", 1, str(run_copy))
    models.promote(start.station, start.caller, candidate)
    before = start.models(), start.actions()
    for _ in range(2):
        assert start(f"board={tiny_run}") == set()
        assert "another model judges the product board" in start.said[0]
        assert start.products() == [("board", candidate, True)]
        assert (start.models(), start.actions()) == before


def test_a_renamed_product_keeps_its_name_after_a_restart(start: Starts, tiny_run: Path) -> None:
    start(f"board={tiny_run}")
    with start.station.database.write() as session:
        products.rename(session, start.caller, 1, "panel")
    assert start(f"board={tiny_run}") == {1}
    assert "the model of the product panel" in start.said[0]
    assert start.products() == [("panel", 1, True)]


def test_a_retired_product_stays_retired_after_a_restart(start: Starts, tiny_run: Path) -> None:
    start(f"board={tiny_run}")
    with start.station.database.write() as session:
        products.retire(session, start.caller, 1)
    start(f"board={tiny_run}")
    assert "retired" in start.said[0]
    assert start.products() == [("board", 1, False)]
    assert start.models() == [("live", tiny_run.name)]


def test_a_candidate_is_left_to_people(start: Starts, tiny_run: Path, run_copy: Path) -> None:
    start(f"board={tiny_run}")
    with start.station.database.write() as session:
        new = Model(product_id=1, folder=str(run_copy), state="candidate", created_at=1)
        new.run = session.get_one(Model, 1).run
        session.add(new)
    start(f"board={run_copy}")
    assert "promote it" in start.said[0]
    assert [state for state, _ in start.models()] == ["live", "candidate"]


def test_a_new_run_goes_live_and_the_audit_log_says_so(
    start: Starts, tiny_run: Path, run_copy: Path
) -> None:
    start(f"board={tiny_run}")
    with start.station.database.write() as session:
        products.retire(session, start.caller, 1)
    assert start(f"board={run_copy}") == {1}
    assert start.said == []
    assert start.products() == [("board", 2, True)]
    assert start.models() == [("retired", tiny_run.name), ("live", run_copy.name)]
    first, second = ["product.create", "model.live"], ["product.bring_back", "model.live"]
    assert start.actions() == [*first, "product.retire", *second]


def test_two_products_may_share_a_run(start: Starts, tiny_run: Path) -> None:
    start(f"left={tiny_run}")
    assert start(f"left={tiny_run}", f"right={tiny_run}") == {1, 2}
    assert start(f"right={tiny_run}") == {2}
    assert start.said == []
    assert start.products() == [("left", 1, True), ("right", 2, True)]


def test_a_first_model_that_could_not_be_loaded_goes_live(start: Starts, tiny_run: Path) -> None:
    start(f"board={tiny_run}")
    with start.station.database.write() as session:
        session.get_one(Product, 1).model_id = None
        session.get_one(Model, 1).state = "candidate"
    assert start(f"board={tiny_run}") == {1}
    assert start.models() == [("live", tiny_run.name)]


def test_a_broken_model_that_was_promoted_does_not_stop_the_station(
    tiny_run: Path, run_copy: Path, tmp_path: Path
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        caller = Caller("ann", "engineer", add_user(line.station.database, "ann", "engineer"))
        candidate = add_model(line.station, 1, "candidate", 1, str(run_copy))
        models.promote(line.station, caller, candidate)
    (run_copy / "model.onnx").unlink()  # the file itself is shared: run_copy holds links
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        assert "has no inspector" in line.send(draw_png(0)).json()["detail"]
