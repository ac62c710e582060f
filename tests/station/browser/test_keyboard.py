"""Every page by keyboard alone: Tab reaches all that can be used, and one sees where it is."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from flawmap.station.context import Station
from flawmap.station.web.navigation import PAGES
from station.browsing import PageAs
from station.filling import fill
from station.imaged import add_imaged

_REACHABLE = """() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, canvas, [tabindex="0"]')]
  .filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility()
    && one.type !== "hidden"
    && !(one.type === "radio" && one.form?.querySelector(`[name="${one.name}"]:checked`) !== one
         && document.querySelector(`[name="${one.name}"]:checked`) !== one))
  .length"""
# Where the focus is, and whether it is shown: by an outline of its own or of what it stands for.
_FOCUS = """() => {
  const one = document.activeElement;
  if (one === document.body) return null;
  window.reached ??= new Set();
  const isNew = !window.reached.has(one);
  window.reached.add(one);
  const shown = [one, one.nextElementSibling, one.parentElement].some((at) => {
    const style = at && getComputedStyle(at);
    return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  });
  return { isNew, shown, html: one.outerHTML.slice(0, 120) };
}"""


def test_tab_reaches_everything_and_shows_where_it_is(
    site: tuple[str, Station], page_as: PageAs
) -> None:
    address, station = site
    fill(station.database, 2)
    part = add_imaged(station, verdict="reject")
    page = page_as("administrator")
    for path in (*(one.path for one in PAGES), f"/parts/{part}"):
        page.goto(address + path)
        expected = page.evaluate(_REACHABLE)
        assert tabbed(page) >= expected, path


def tabbed(page: Any) -> int:
    """Press Tab until the page ends; return how many elements had the focus."""
    count = 0
    while True:
        page.keyboard.press("Tab")
        found = page.evaluate(_FOCUS)
        if found is None or not found["isNew"]:
            return count
        assert found["shown"], found["html"]
        count += 1


def test_menus_open_and_close_by_keyboard(site: tuple[str, Station], page_as: PageAs) -> None:
    fill(site[1].database, 3)
    page = page_as("operator")
    page.focus(".menu.right summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Log out")
    page.keyboard.press("Escape")
    expect(page.locator("text=Log out")).to_be_hidden()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


@pytest.mark.parametrize("key", [pytest.param("ArrowLeft", marks=pytest.mark.long), "ArrowRight"])
def test_arrows_lead_to_the_next_part(site: tuple[str, Station], page_as: PageAs, key: str) -> None:
    parts = [add_imaged(site[1], seed=seed) for seed in range(3)]
    page = page_as("operator", f"/parts/{parts[1]}")
    page.keyboard.press(key)
    page.wait_for_url(f"**/parts/{parts[0] if key == 'ArrowLeft' else parts[2]}")
