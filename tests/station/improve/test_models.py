"""Candidates: shadow, promotion without a restart, roll back, and dropping."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from flawmap.inspection.bundle.manifest import read_manifest, run_id
from flawmap.station.database.tables import AuditEntry, Model, Product, TrialVerdict
from flawmap.station.improve import models
from flawmap.station.improve.compare import compare, disagreements
from flawmap.station.improve.images import learning_folder
from flawmap.station.improve.shadow import WAITING, Shadow
from flawmap.station.intake.submission import Answer, Submission
from flawmap.station.refusals import RefusedError
from flawmap.station.security.callers import Caller
from station.filling import add_product, add_user, fill
from station.improving import add_model, add_trials, decide_all, part_png
from station.inspecting import Inspecting, inspecting, wait_until


@pytest.fixture
def line(tmp_path: Path, tiny_run: Path) -> Iterator[Inspecting]:
    """A station that inspects with a copy of the tiny run."""
    shutil.copytree(tiny_run, tmp_path / "block")
    with inspecting(tmp_path / "station", tmp_path / "block") as line:
        yield line


@pytest.fixture
def caller(line: Inspecting) -> Caller:
    """An engineer."""
    return Caller("ann", "engineer", add_user(line.station.database, "ann", "engineer"))


def candidate(line: Inspecting, tiny_run: Path) -> int:
    """A candidate in the station's own folder, which calls everything defective."""
    run = learning_folder(line.station.config) / "jobs" / "1" / "run"
    shutil.copytree(tiny_run, run)
    manifest = json.loads((run / "manifest.json").read_text())
    for limit in ("reject", "review"):
        manifest["calibration"][limit] |= {"value": 1e-9}
    (run / "manifest.json").write_text(json.dumps(manifest))
    new = add_model(line.station, 1, "candidate", live_of(line), str(run))
    with line.station.database.write() as session:
        session.get_one(Model, new).run = run_id(read_manifest(run))
    return new


def live_of(line: Inspecting) -> int:
    """The model in force."""
    with line.station.database.read() as session:
        return int(session.get_one(Product, 1).model_id or 0)


def verdict(line: Inspecting, seed: int) -> str:
    """Inspect a part."""
    answer = line.send(part_png(seed))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["verdict"])


def test_promote_and_roll_back(line: Inspecting, caller: Caller, tiny_run: Path) -> None:
    first, new = live_of(line), candidate(line, tiny_run)
    before = verdict(line, 1)
    models.promote(line.station, caller, new)
    assert verdict(line, 1) == "reject"
    with pytest.raises(RefusedError, match="is live"):
        models.promote(line.station, caller, new)
    assert models.roll_back(line.station, caller, 1).id == first
    assert verdict(line, 1) == before
    with line.station.database.read() as session:
        states = {one.id: one.state for one in session.scalars(select(Model))}
        actions = list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    assert states == {first: "live", new: "retired"}
    assert actions[-2:] == ["model.promote", "model.roll_back"]


def test_a_damaged_model_changes_nothing(line: Inspecting, caller: Caller, tiny_run: Path) -> None:
    first, new = live_of(line), candidate(line, tiny_run)
    with line.station.database.read() as session:
        (Path(session.get_one(Model, new).folder) / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(RefusedError, match="goes on"):
        models.promote(line.station, caller, new)
    assert live_of(line) == first
    assert verdict(line, 2) != ""
    assert all(one.problem is None for one in line.intake.products)


def test_a_first_model_that_was_refused_goes_live_later_as_the_same_row(
    tmp_path: Path, tiny_run: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    whole = (run / "model.onnx").read_bytes()
    (run / "model.onnx").write_bytes(b"nothing")
    with inspecting(tmp_path / "station") as line:
        product = add_product(line.station.database)
        line.intake.reload()
        with pytest.raises(RefusedError, match="cannot be loaded"):
            models.go_live(line.station, product, run)
        (run / "model.onnx").write_bytes(whole)
        models.go_live(line.station, product, run)
        with line.station.database.read() as session:
            (model,) = session.scalars(select(Model))
        assert (model.state, live_of(line)) == ("live", model.id)
        assert verdict(line, 1)


def test_shadow_has_no_effect(line: Inspecting, caller: Caller, tiny_run: Path) -> None:
    new = candidate(line, tiny_run)
    unseen = verdict(line, 3)
    models.set_shadow(line.station, caller, new, True)
    seen = verdict(line, 4)
    second = line.parts()[-1].id  # the first may still have waited to be judged, too
    wait_until(lambda: [one for one in trials(line) if one.part_id == second])
    row = next(one for one in trials(line) if one.part_id == second)
    assert (row.kind, row.present, row.verdict) == ("shadow", seen, "reject")
    assert unseen
    assert line.parts()[-1].verdict == seen
    models.set_shadow(line.station, caller, new, False)
    verdict(line, 5)
    time.sleep(0.3)
    assert {one.part_id for one in trials(line)} <= {1, second}


def trials(line: Inspecting) -> Sequence[TrialVerdict]:
    """What candidates said."""
    with line.station.database.read() as session:
        return session.scalars(select(TrialVerdict)).all()


def test_shadow_keeps_few_parts(line: Inspecting) -> None:
    verdict(line, 6)
    part = line.parts()[0]
    shadow = Shadow(line.station)  # not started: nothing is judged
    shadow._take([Answer(part, Submission(b""))] * (WAITING + 3))
    assert shadow.skipped == {part.product_id: 3}


def test_dropping_deletes_files(line: Inspecting, caller: Caller, tiny_run: Path) -> None:
    new = candidate(line, tiny_run)
    models.set_shadow(line.station, caller, new, True)
    folder = Path(models.drop(line.station, caller, new).folder)
    assert not folder.exists()
    with line.station.database.read() as session:
        assert session.get_one(Product, 1).shadow_id is None
    with pytest.raises(RefusedError, match="only candidates"):
        models.drop(line.station, caller, live_of(line))
    with pytest.raises(RefusedError, match="only candidates"):
        models.promote(line.station, caller, new)


def test_the_comparison_counts(line: Inspecting) -> None:
    station = line.station
    fill(station.database, 300, product="board")
    decide_all(station)
    product = add_product(station.database)
    live = add_model(station, product, "live")
    model = add_model(station, product, "candidate", live)
    add_trials(station, model)
    with station.database.read() as session:
        found = compare(session, model, "compared")
        differing = disagreements(session, model, "compared", 1000)
        assert compare(session, model, "shadow").parts == 0
    assert found.parts == found.reviewed == 297
    off = sum(
        n for row, one in enumerate(found.verdicts) for col, n in enumerate(one) if row != col
    )
    assert off == len(differing) > 10
    present, ours = found.present.rates, found.candidate.rates
    errors = [rates.overkill.hits + rates.escape.hits for rates in (present, ours)]
    assert errors[0] - errors[1] == found.only_candidate_right - found.only_present_right
    wrong = [
        (t.present, p.decision) in WRONG or (t.verdict, p.decision) in WRONG for p, t in differing
    ]
    assert wrong == sorted(wrong, reverse=True)


WRONG = {("good", "reject"), ("reject", "good")}
