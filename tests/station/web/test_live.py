"""The live page's numbers, and what it fetches when parts come."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from flawmap.station.context import Station
from station.conftest import ClientAs
from station.filling import add_login, fill
from station.inspecting import draw_png, inspecting


def test_news_are_the_parts_after_the_last_one(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 10)
    news = client_as("operator").get("/live/news?after=7").json()
    assert news["last"] == 10
    assert len(news["tiles"]) == 3
    assert "SN-1-0000009" in news["tiles"][0]
    assert "line 1" in news["lamps"]
    assert "line 2" in news["lamps"]


def test_each_count_leads_to_its_parts(station: Station, client_as: ClientAs) -> None:
    fill(station.database, 250, product="a & b")
    client = client_as("operator")
    counts = client.get("/live/news?product=a%20%26%20b").json()["counts"]
    (path,) = re.findall('href="(/parts[^"]*verdict=error[^"]*)"', counts)
    found = client.get(path.replace("&amp;", "&")).text
    assert "Export these 2 parts" in found


def test_the_counts_are_of_the_hour_and_of_the_product(
    station: Station, client_as: ClientAs
) -> None:
    fill(station.database, 5000, product="a")
    fill(station.database, 200, product="b")
    client = client_as("operator")
    counts = client.get("/live/news?product=a").json()["counts"]
    assert re.search("3\u2009(600|59\\d) parts in the last hour", counts)
    assert "200 parts in the last hour" in client.get("/live/news?product=b").json()["counts"]


def test_a_product_whose_run_is_gone_is_named(tmp_path: Path, tiny_run: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    with inspecting(tmp_path / "station", f"flange={run}") as line:
        line.send(draw_png(1))
    shutil.rmtree(run)
    with inspecting(tmp_path / "station") as line:
        cookie, _ = add_login(line.station.database, "operator")
        line.client.cookies.set("flawmap_session", cookie)
        page = line.client.get("/", headers={"Authorization": ""}).text
        assert "flange is not inspected." in page
        assert str(run) in page
