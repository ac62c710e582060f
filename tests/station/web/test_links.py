"""The page of links: cameras are added, switched off and on; nothing on it names a path."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, SourceSettings
from flawmap.station.database.tables.base import now
from station.conftest import ClientAs
from station.filling import add_product


def test_a_camera_from_the_form(station: Station, client_as: ClientAs) -> None:
    product = str(add_product(station.database))
    engineer = client_as("engineer")
    form = {
        "name": "top",
        "product": product,
        "where": "http://me:secret@127.0.0.1:9/x",
        "line": "A",
    }
    page = engineer.post("/links/sources", data=form | {"interval": "0.5"}).text
    assert "camera: http://127.0.0.1:9/x" in page
    assert "an image every 0.5 s, A" in page
    assert "secret" not in page
    assert "There is a source top already" in engineer.post("/links/sources", data=form).text
    engineer.post("/links/sources", data=form | {"name": "side", "where": "7", "interval": ""})
    with station.database.read() as session:
        side = session.scalars(select(SourceSettings).where(SourceSettings.name == "side")).one()
    assert (side.settings["where"], side.settings["take"]) == ("7", "trigger")
    page = engineer.post(f"/links/sources/{side.id}/disable").text
    assert "Switch on: side" in page
    assert "Switch on: side" not in engineer.post(f"/links/sources/{side.id}/enable").text
    assert engineer.post("/links/sources/99/enable").status_code == 404
    with station.database.read() as session:
        actions = list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))
    assert actions == ["source.create"] * 2 + ["source.disable", "source.enable"]


@pytest.mark.parametrize(
    "where", ["/etc/passwd", "file:///etc/passwd", "64", "http://", "", "x.mp4"]
)
def test_no_path_is_a_camera(station: Station, client_as: ClientAs, where: str) -> None:
    form = {"name": "top", "product": str(add_product(station.database)), "where": where}
    answer = client_as("engineer").post("/links/sources", data=form)
    assert answer.status_code == 422
    assert "where: " in answer.text
    assert 'value="top"' in answer.text  # what was typed is still there
    with station.database.read() as session:
        assert session.scalar(select(SourceSettings)) is None


def test_folders_are_shown_with_their_place(station: Station, client_as: ClientAs) -> None:
    with station.database.write() as session:
        session.add(
            SourceSettings(
                name="drop",
                kind="folder",
                product_id=add_product(station.database),
                settings={"folder": "/line/drop"},
                created_at=now(),
                disabled_at=now(),
            )
        )
    page = client_as("engineer").get("/links").text
    assert "folder: /line/drop" in page
    assert "serve --watch DIR" in page
