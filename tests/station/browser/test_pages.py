"""Every page: no violation of WCAG 2.2 AA, in light and dark, narrow and wide, empty and full."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from flawmap.station.context import Station
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


def violations(page: Any) -> list[str]:
    """What axe-core objects to on a page."""
    found = Axe().run(page, options=_RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
