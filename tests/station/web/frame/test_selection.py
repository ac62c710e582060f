"""The product that a person has chosen."""

from __future__ import annotations

import pytest

from flawmap.station.context import Station
from station.conftest import ClientAs
from station.filling import fill


def test_a_choice_stays_for_the_next_pages(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 5, product="a board")
    fill(station.database, 5, product="größe 4; x")
    client = client_as("operator")
    assert "SN-2-" in client.get("/").text
    assert "SN-2-" not in client.get("/?product=a board").text
    assert "SN-2-" not in client.get("/").text
    assert "SN-1-" not in client.get("/?product=größe 4; x").text
    assert "SN-1-" not in client.get("/").text
    assert "SN-1-" in client.get("/?product=").text


@pytest.mark.parametrize("name", ["nothing", '"><script>', "x" * 5000])
def test_a_product_that_does_not_exist_is_none(
    station: Station, client_as: ClientAs, name: str
) -> None:
    fill(station.database, 1)
    found = client_as("operator").get("/", params={"product": name})
    assert found.status_code == 200
    assert "<script>" not in found.text
    assert "SN-1-" in found.text
