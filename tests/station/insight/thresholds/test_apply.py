"""Applying settings over the API: roles, versions, guarantees, going back."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import select

from flawmap.calibration.calibrate import calibrate
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.inspection.roi.mask import region_file
from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry
from flawmap.station.security.audit import find_entries
from flawmap.utils.locks import only_writer
from station.conftest import ClientAs
from station.filling import add_product
from station.insight.conftest import Inspect, set_manifest
from station.people import add_key

RATES = {"rates": {"false_reject": 0.02, "review": 0.05}}
BY_HAND = {"values": {"reject": 0.6, "review": 0.4}}


@pytest.fixture
def path(board: int) -> str:
    return f"/api/v1/products/{board}"


def apply(client: Any, path: str, proposal: object, seen: int = 1, comment: str = "") -> Any:
    return client.post(
        f"{path}/settings", json={"seen": seen, "proposal": proposal, "comment": comment}
    )


def test_only_engineers_apply(client_as: ClientAs, path: str, run: Path) -> None:
    before = (run / "manifest.json").read_bytes()
    operator = client_as("operator")
    assert apply(operator, path, RATES).status_code == 403
    refused = operator.post(f"{path}/settings/roll-back", json={"seen": 1, "number": 1})
    assert refused.status_code == 403
    assert (run / "manifest.json").read_bytes() == before
    assert operator.get(f"{path}/settings").status_code == 200
    assert apply(client_as("engineer"), path, RATES).json() == {"number": 2}
    assert apply(client_as("administrator"), path, BY_HAND, seen=2).json() == {"number": 3}


def test_a_key_applies_and_goes_back(
    app_client: TestClient, client_as: ClientAs, path: str, station: Station
) -> None:
    """The audit log names the key, and the version the person who made it."""
    headers = {"Authorization": f"Bearer {add_key(station, 'manage')}"}
    program = TestClient(app_client.app, headers=headers)
    assert apply(program, path, RATES).json() == {"number": 2}
    back = program.post(f"{path}/settings/roll-back", json={"seen": 2, "number": 1})
    assert back.json() == {"number": 3}
    newest = client_as("operator").get(f"{path}/settings").json()[0]
    assert newest["user"] == "administrator"
    with station.database.read() as session:
        entries = find_entries(session, "settings.")
    assert [(entry.user, entry.key) for entry in entries] == [("administrator", "program")] * 2
    wrong = {"Authorization": f"Bearer {add_key(station, 'read', 'inspect')}"}
    assert apply(TestClient(app_client.app, headers=wrong), path, RATES, 3).status_code == 403


def test_a_rate_is_applied_as_calibrate_would(
    client_as: ClientAs, path: str, run: Path, tmp_path: Path, station: Station
) -> None:
    """The guarantee stands, the version and the audit log tell who did it, and why."""
    copy = tmp_path / "copy"
    copy.mkdir()
    write_manifest(copy, read_manifest(run))
    engineer = client_as("engineer")
    assert apply(engineer, path, RATES, comment=" fewer false alarms ").status_code == 201
    calibrate(copy, false_reject=0.02, review=0.05)
    assert read_manifest(run) == read_manifest(copy)
    newest, first = engineer.get(f"{path}/settings").json()
    assert (newest["number"], newest["user"], newest["comment"]) == (
        2,
        "engineer",
        "fewer false alarms",
    )
    assert (newest["by_hand"], first["by_hand"]) == (False, False)
    assert "at most 2.0% on average" in newest["statement"]
    assert {"name": "reject rate asked for", "before": "10 %", "after": "2 %"} in newest["changes"]
    with station.database.read() as session:
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.subject) == ("settings.apply", "board")
    assert (entry.details["version"], entry.details["before"]) == (2, 1)


def test_thresholds_set_by_hand_promise_nothing(client_as: ClientAs, path: str, run: Path) -> None:
    engineer = client_as("engineer")
    assert apply(engineer, path, BY_HAND).status_code == 201
    calibration = read_manifest(run).calibration
    assert (calibration.reject.value, calibration.review.value) == (0.6, 0.4)
    assert not calibration.computed
    assert "set by hand" in calibration.statement()
    newest = engineer.get(f"{path}/settings").json()[0]
    assert newest["by_hand"]
    assert "guarantee nothing" in newest["statement"]
    assert apply(engineer, path, RATES, seen=2).status_code == 201
    assert read_manifest(run).calibration.computed


@pytest.mark.parametrize(
    ("proposal", "said"),
    [
        ({"rates": {"false_reject": 0.1, "review": 0.3}}, "nothing was changed"),
        ({}, "nothing was changed"),
        ({"rates": {"false_reject": 0.3, "review": 0.1}}, "review rate includes"),
        ({"values": {"reject": 0.1, "review": 0.3}}, "above the reject threshold"),
        (RATES | BY_HAND, "not both"),
        ({"filters": {"min_area": -1}}, "greater than or equal to 0"),
        ({"region": "x"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(
    client_as: ClientAs, path: str, run: Path, proposal: object, said: str
) -> None:
    before = (run / "manifest.json").read_bytes()
    answer = apply(client_as("engineer"), path, proposal)
    assert answer.status_code == 422
    assert said in answer.text
    assert (run / "manifest.json").read_bytes() == before


def test_who_saw_older_settings_is_refused(client_as: ClientAs, path: str, run: Path) -> None:
    engineer = client_as("engineer")
    assert apply(engineer, path, RATES).status_code == 201
    answer = apply(engineer, path, BY_HAND, seen=1)
    assert answer.status_code == 409
    assert "version 2" in answer.json()["detail"]
    calibrate(run, false_reject=0.3, review=0.4)  # on a command line
    assert apply(engineer, path, BY_HAND, seen=2).status_code == 409
    newest = engineer.get(f"{path}/settings").json()[0]
    assert (newest["number"], newest["comment"]) == (3, "Changed outside the station.")
    assert apply(engineer, path, BY_HAND, seen=3).json() == {"number": 4}


def test_a_run_that_is_written_to_is_left_alone(client_as: ClientAs, path: str, run: Path) -> None:
    with only_writer(run):
        answer = apply(client_as("engineer"), path, RATES)
    assert answer.status_code == 409
    assert "process" in answer.json()["detail"]
    assert [one["number"] for one in client_as("operator").get(f"{path}/settings").json()] == [1]


def test_going_back_restores_all_settings(client_as: ClientAs, path: str, run: Path) -> None:
    """Also a region, whose drawing the run has dropped since."""
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(file, "PNG")
    first = read_manifest(run)
    engineer = client_as("engineer")
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    (run / region_file(sha256)).write_bytes(file.getvalue())
    set_manifest(run, lambda manifest: manifest.model_copy(update={"region": sha256}))
    assert len(engineer.get(f"{path}/settings").json()) == 2
    second = read_manifest(run)
    for seen, number in ((2, 1), (3, 2), (4, 1)):
        body = {"seen": seen, "number": number, "comment": f"Back to {number}."}
        assert engineer.post(f"{path}/settings/roll-back", json=body).json() == {"number": seen + 1}
        assert read_manifest(run) == (first, second)[number - 1]
        assert (run / region_file(sha256)).exists() == (number == 2)
    versions = engineer.get(f"{path}/settings").json()
    assert [one["comment"] for one in versions[:3]] == ["Back to 1.", "Back to 2.", "Back to 1."]


def test_versions_of_another_model_cannot_be_restored(
    client_as: ClientAs, path: str, run: Path
) -> None:
    files = {"model.onnx": "12" * 32}
    set_manifest(run, lambda manifest: manifest.model_copy(update={"files": files}))
    engineer = client_as("engineer")
    newest, first = engineer.get(f"{path}/settings").json()
    assert (newest["restorable"], first["restorable"], newest["comment"]) == (False, False, None)
    answer = engineer.post(f"{path}/settings/roll-back", json={"seen": 2, "number": 1})
    assert answer.status_code == 422
    assert "another model" in answer.json()["detail"]
    missing = engineer.post(f"{path}/settings/roll-back", json={"seen": 2, "number": 99})
    assert (missing.status_code, "no version 99" in missing.text) == (422, True)


def test_the_answer_to_a_question(client_as: ClientAs, path: str, inspect: Inspect) -> None:
    parts = inspect(range(60))
    operator = client_as("operator")
    same = operator.get(f"{path}/what-if").json()
    assert (same["parts"], same["changed"], same["differences"]) == (60, 0, [])
    verdicts = [part.verdict for part in parts]
    for row, word in enumerate(("good", "review", "reject")):
        assert same["counts"][row][row] == verdicts.count(word)
    values = {"false_reject": 0.3, "review": 0.5, "start": parts[10].received_at}
    other = operator.get(f"{path}/what-if", params=values).json()
    assert (other["parts"], other["limits"]["computed"]) == (50, True)
    assert other["changed"] > 0
    by_hand = operator.get(f"{path}/what-if", params={"reject_value": 0.9}).json()
    assert not by_hand["limits"]["computed"]
    wrong = operator.get(f"{path}/what-if", params={"false_reject": 0.5, "review": 0.1})
    assert (wrong.status_code, "includes the rejected" in wrong.json()["detail"]) == (422, True)
    assert operator.get("/api/v1/products/99/what-if").status_code == 404


def test_a_product_without_an_inspector(client_as: ClientAs, station: Station) -> None:
    product_id = add_product(station.database, "new one")
    client = client_as("engineer")
    for kind in ("what-if", "settings"):
        answer = client.get(f"/api/v1/products/{product_id}/{kind}")
        assert (answer.status_code, "no inspector" in answer.json()["detail"]) == (409, True)
    assert "has no inspector yet" in client.get("/thresholds?product=new%20one").text
