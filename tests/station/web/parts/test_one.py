"""The page of one part."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import Review, SettingsVersion
from flawmap.station.database.tables.base import now
from station.conftest import ClientAs
from station.filling import add_user, fill
from station.imaged import add_imaged, add_version


def test_the_page_shows_the_evidence(station: Station, client_as: ClientAs) -> None:
    part = add_imaged(station, verdict="reject", number="<b>A 7</b>")
    calibration = add_version(station, part, number=4)
    text = client_as("operator").get(f"/parts/{part}").text
    limits = f"{calibration.reject.value:.4f}", f"{calibration.review.value:.4f}"
    for shown in ("0.9000", *limits, "version 4", calibration.statement(), "early"):
        assert shown in text
    assert "about 1 % score as high or higher" in text
    assert "&lt;b&gt;A 7&lt;/b&gt;" in text
    assert "<b>A 7" not in text


def test_the_history_tells_who_and_what_before(station: Station, client_as: ClientAs) -> None:
    part, user = add_imaged(station), add_user(station.database, "maria", "operator")
    with station.database.write() as session:
        common = {"part_id": part, "user_id": user, "created_at": now()}
        session.add(Review(action="decide", decision="reject", comment="a <dent>", **common))
        session.add(Review(action="undo", before="reject", **common))
    text = client_as("operator").get(f"/parts/{part}").text
    assert "maria" in text
    assert "a &lt;dent&gt;" in text
    assert "before: reject" in text


def test_a_part_without_image_or_verdict_says_so(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 100)
    text = client_as("operator").get("/parts/100").text
    assert "The image of this part is not stored" in text
    assert "not an image" in text


def test_neighbours_are_of_the_chosen_product(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 2, product="a")
    fill(station.database, 1, product="b")
    fill(station.database, 1, product="a", seed=1)
    client = client_as("operator")
    client.get("/?product=a")
    text = client.get("/parts/2").text
    assert 'href="/parts/1" id="older"' in text
    assert "/parts/3" not in text


@pytest.mark.parametrize("made", [True, False])
def test_the_good_part_beside_it_says_how_it_was_chosen(
    station: Station, client_as: ClientAs, made: bool
) -> None:
    client, data = client_as("operator"), _striped(0)
    twin = add_imaged(station, data=data, number="the twin", size=(32, 32))
    for seed in range(3):
        add_imaged(station, seed=seed, size=(32, 32))
    part = add_imaged(station, data=_striped(1), verdict="reject", size=(32, 32))
    if made:
        for one in range(1, part + 1):
            client.get(f"/parts/{one}/thumbnail")
    text = client.get(f"/parts/{part}").text
    assert (f'href="/parts/{twin}"' in text) == made
    assert ("the most alike of 4 good parts" if made else "nearest in time") in text


def _striped(value: int) -> bytes:
    import numpy as np

    from flawmap.data.image_io.images import encode_png

    image = np.zeros((32, 32, 3), np.uint8)
    image[::4] = 200
    image[0, 0] = value
    return encode_png(image)


@pytest.mark.parametrize("damage", [True, False])
def test_settings_that_are_not_known_are_said(
    station: Station, client_as: ClientAs, damage: bool
) -> None:
    part = add_imaged(station)
    if damage:
        add_version(station, part, number=1)
        with station.database.write() as session:
            version = session.scalars(select(SettingsVersion)).one()
            version.values = {"ids": version.values["ids"]}
    assert "was not noted" in client_as("operator").get(f"/parts/{part}").text
    assert client_as("operator").get(f"/parts/{part}/heat.png").status_code == 200
