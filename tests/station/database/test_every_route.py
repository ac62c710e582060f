"""Everything that the station shows, read from a database with some of everything in it."""

from __future__ import annotations

import re

from fastapi import FastAPI
from sqlalchemy import update

from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Part, Review
from flawmap.station.database.tables.base import now
from flawmap.station.web.access.admissions import route_admissions
from station.conftest import ClientAs
from station.filling import add_user, fill
from station.imaged import add_imaged, add_version
from station.postgres import on_both

QUERIES = ("", "?days=7&line=line 1", "?verdict=reject&decision=open&number=SN&reviewer=1")
FILLED = ("/", "/parts", "/parts/1", "/review", "/trends", "/thresholds", "/products", "/storage")
FILLED += ("/api/v1/parts/1", "/api/v1/products/1/trends", "/api/v1/retention", "/api/v1/audit")


def fill_with_everything(station: Station) -> None:
    """Parts with and without images, errors, reviews with drawn defects, a version of settings."""
    add_version(station, add_imaged(station, verdict="reject"), 1)
    fill(station.database, 200)
    user = add_user(station.database, "reviewer", "operator")
    with station.database.write() as session:
        decided = {"decision": "good", "decided_at": now(), "decided_by": user, "reviewers": 1}
        session.execute(update(Part).where(Part.id % 5 == 1).values(decided))
        review = Review(part_id=1, user_id=user, created_at=now(), action="decide", decision="good")
        session.add(review)
        session.flush()
        session.add(
            DrawnDefect(
                part_id=1, review_id=review.id, type="scratch", shape="polygon", area=9,
                geometry={"points": [[1, 1], [9, 1], [9, 9]]}, created_at=now(),
            )
        )  # fmt: skip


@on_both
def test_everything_is_shown(station: Station, client_as: ClientAs) -> None:
    fill_with_everything(station)
    client, app = client_as("administrator"), client_as("administrator").app
    assert isinstance(app, FastAPI)
    station.events.close()  # streams end at once
    client.get("/")
    for name in ("hours", "drift"):
        station.services[name].step()  # type: ignore[attr-defined]
    found: dict[str, int] = {}
    for method, route in route_admissions(app):
        if method != "GET" or "static" in route or "v2" in route:
            continue
        for query in QUERIES:
            address = re.sub(r"{\w+}", "1", route) + query
            found[address] = client.get(address).status_code
    assert {address: code for address, code in found.items() if code >= 500} == {}
    assert {address: found[address] for address in FILLED} == dict.fromkeys(FILLED, 200)
