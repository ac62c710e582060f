"""Every page: no violation of WCAG 2.2 AA, in light and dark, narrow and wide, empty and full."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from sqlalchemy import update

from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from flawmap.station.web.navigation import PAGES
from station.browsing import PageAs
from station.filling import fill

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.mark.slow
@pytest.mark.parametrize("parts", [pytest.param(0, marks=pytest.mark.long), 3])
def test_pages_are_accessible(site: tuple[str, Station], page_as: PageAs, parts: int) -> None:
    address, station = site
    if parts:
        fill(station.database, parts)
    for dark in (False, True):
        page = page_as("administrator", dark=dark)
        for one in PAGES:
            page.goto(address + one.path)
            assert not violations(page), one.path


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.long), 800])
def test_no_page_scrolls_sideways(site: tuple[str, Station], page_as: PageAs, width: int) -> None:
    address, station = site
    fill(station.database, 3)
    page = page_as("administrator", width=width)
    for one in PAGES:
        page.goto(address + one.path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, one.path


def test_long_names_neither_widen_nor_hide_anything(
    site: tuple[str, Station], page_as: PageAs
) -> None:
    address, station = site
    names = ["W" * 100, "Housing of the gear box, camera 3 from above " * 2]
    for name in names:
        fill(station.database, 120, product=name)
    with station.database.write() as session:
        session.execute(
            update(Part).where(Part.id % 2 == 0).values(line="L" * 100, number="N" * 200)
        )
    page = page_as("administrator", width=800)
    paths = [one.path for one in PAGES] + ["/parts?view=table", "/parts/2", "/products/1"]
    wide = []
    for path in [*paths, "/products/new", "/review/agreement", "/people/keys", "/account"]:
        page.goto(address + path)
        if page.evaluate("document.documentElement.scrollWidth") > 800:
            wide.append(path)
    assert not wide
    page.goto(address)
    overlaps = page.evaluate("""() => [...document.querySelectorAll(".lamp")].filter((lamp) => {
      const box = (part) => lamp.querySelector(part).getBoundingClientRect();
      return box(".word").bottom > box(".when").top && box(".word").right > box(".when").left;
    }).length""")
    assert overlaps == 0


def violations(page: Any) -> list[str]:
    """What axe-core objects to on a page."""
    found = Axe().run(page, options=_RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
