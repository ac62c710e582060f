"""The live page in a browser: parts appear, nothing moves under the hand, a lost server is said."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from flawmap.station.context import Station
from flawmap.station.events import Event
from station.browsing import PageAs
from station.filling import fill
from station.imaged import add_imaged

_SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""

_LOADED = (
    "[...document.querySelectorAll('#tiles img[data-lazy]')].map((one) => one.naturalWidth > 0)"
)


def test_a_part_appears_by_itself(site: tuple[str, Station], page_as: PageAs) -> None:
    station = site[1]
    fill(station.database, 3)
    page = connected(page_as("operator"))
    part = add_imaged(station, verdict="reject", number="NEW 1")
    station.events.publish(Event("part", {"id": part}))
    page.wait_for_selector("text=NEW 1")
    assert page.locator("#tiles > li").first.inner_text().count("NEW 1") == 1
    assert "reject" in page.locator("#lamps").inner_text().lower()


def test_the_first_part_replaces_the_explanation(
    site: tuple[str, Station], page_as: PageAs
) -> None:
    station = site[1]
    page = connected(page_as("operator"))
    assert "curl" in page.content() or "flawmap serve" in page.content()
    part = add_imaged(station, number="FIRST")
    station.events.publish(Event("part", {"id": part}))
    page.wait_for_selector("text=FIRST")


def test_paused_tiles_stay_and_are_counted(site: tuple[str, Station], page_as: PageAs) -> None:
    station = site[1]
    fill(station.database, 3)
    page = connected(page_as("operator"))
    page.click("#pause")
    station.events.publish(Event("part", {"id": add_imaged(station, number="LATER")}))
    page.wait_for_selector("text=1 new")
    assert "LATER" not in page.locator("#tiles").inner_text()
    page.click("#pause")
    page.wait_for_selector("#tiles >> text=LATER")


def test_a_lost_connection_is_said_and_what_was_missed_is_fetched(
    site: tuple[str, Station], page_as: PageAs
) -> None:
    station = site[1]
    fill(station.database, 3)
    page = connected(page_as("operator"))
    page.route("**/events", lambda route: route.fulfill(status=204))  # no stream
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")  # closes the stream
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.wait_for_selector("#lost:visible")
    expect(page.locator("#lost")).to_contain_text("what you see is old")
    add_imaged(station, number="MISSED")
    page.unroute("**/events")
    page.wait_for_selector("#tiles >> text=MISSED")
    expect(page.locator("#lost")).to_be_hidden()
    page.wait_for_selector("text=Connected again")


def test_heat_maps_are_switched_and_remembered(site: tuple[str, Station], page_as: PageAs) -> None:
    add_imaged(site[1])
    page = connected(page_as("operator"))
    expect(page.locator("img.heat:visible")).to_have_count(0)
    page.check("[data-heat-switch]")
    expect(page.locator("img.heat:visible")).to_have_count(1)
    page.reload()
    expect(page.locator("img.heat:visible")).to_have_count(1)


def test_thumbnails_load_near_the_screen_only(site: tuple[str, Station], page_as: PageAs) -> None:
    for seed in range(24):
        add_imaged(site[1], seed=seed)
    page = connected(page_as("operator"))
    wait_until(page, f"{_LOADED}[0]")
    assert not page.evaluate(f"{_LOADED}.at(-1)")
    page.locator("#tiles img[data-lazy]").last.scroll_into_view_if_needed()
    wait_until(page, f"{_LOADED}.at(-1)")


def wait_until(page: Any, expression: str) -> None:
    """Wait for JavaScript to be true; the CSP forbids Playwright's own way."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{expression} stays false")


def test_nothing_jumps_while_a_page_loads(site: tuple[str, Station], page_as: PageAs) -> None:
    address, station = site
    for seed in range(6):
        part = add_imaged(station, seed=seed, verdict="reject" if seed == 5 else "good")
    page = connected(page_as("operator"))
    for path in ("/", "/parts", "/parts?view=table", f"/parts/{part}"):
        page.goto(address + path)
        assert page.evaluate(_SHIFTS) < 0.02, path


def connected(page: Any) -> Any:
    page.wait_for_selector("#state[data-state=running]")
    return page
