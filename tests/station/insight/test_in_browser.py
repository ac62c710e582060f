"""The pages on trends and thresholds in a browser: move a slider, apply, go back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.station.context import Station
from station.browser.test_pages import violations
from station.browsing import PageAs
from station.insight.conftest import add_board, inspect_maps
from station.insight.drift.test_watch import add_scores, normal


@pytest.fixture
def judged(site: tuple[str, Station], run: Path) -> Path:
    """A station whose product has 60 parts."""
    station = site[1]
    board = add_board(station.database, run)
    for first, line in ((0, "north"), (30, "south " + 20 * "long name ")):
        inspect_maps(station, board, run, range(first, first + 30), line=line[:100])
    while station.services["hours"].step():  # type: ignore[attr-defined]
        pass
    return run


@pytest.mark.slow
def test_a_slider_shows_what_would_change_and_is_applied(judged: Path, page_as: PageAs) -> None:
    """Then the version before is restored, with one question in between."""
    page = page_as("engineer", "/thresholds")
    expect(page.locator("#outcome")).to_have_text(re.compile("^0 of 60"))
    assert page.is_disabled("#apply")
    before = read_manifest(judged).calibration
    page.focus("#false_reject-slider")
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page.locator("#outcome")).to_have_text(re.compile(r"^[1-9]\d* of 60"))
    page.wait_for_selector("#changed .tile")
    assert float(page.input_value("#review")) >= float(page.input_value("#false_reject")) > 10
    page.fill("#comment", "more to reject")
    with page.expect_navigation():
        page.click("#apply")
    after = read_manifest(judged).calibration
    assert after.computed
    assert after.reject.rate > before.reject.rate
    assert "more to reject" in page.inner_text("#versions-title ~ .scroll")
    button = page.locator("[data-restore='1']")
    button.click()
    with page.expect_navigation():
        button.click()
    assert read_manifest(judged).calibration == before


def test_a_threshold_by_hand_says_that_it_promises_nothing(judged: Path, page_as: PageAs) -> None:
    page = page_as("engineer", "/thresholds")
    page.check("input[name='kind'][value='values']")
    expect(page.locator("text=nothing is guaranteed about how many").first).to_be_visible()
    page.fill("#reject_value", "0.5")
    expect(page.locator("#statement")).to_contain_text("by hand")
    with page.expect_navigation():
        page.click("#apply")
    assert read_manifest(judged).calibration.reject.value == 0.5
    expect(page.locator("text=set by hand: no guarantee").first).to_be_visible()
    assert page.is_checked("input[name='kind'][value='values']")


def test_an_operator_tries_but_does_not_apply(judged: Path, page_as: PageAs) -> None:
    page = page_as("operator", "/thresholds")
    page.fill("#min_area", "200")
    expect(page.locator("#outcome")).to_have_text(re.compile(r"^[1-9]\d* of 60"))
    assert page.locator("#apply").count() == 0
    assert page.locator("[data-restore]").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.long), 800])
def test_the_pages_with_parts(judged: Path, page_as: PageAs, width: int) -> None:
    """Charts are drawn, nothing runs off the page, and axe-core finds nothing."""
    for dark in (False, True):
        page = page_as("engineer", "/trends", width=width, dark=dark)
        expect(page.locator("#rate-plot canvas")).to_have_count(1)
        expect(page.locator("#score-plot canvas")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not violations(page)
        page.click("text=24 hours")
        page.select_option("select[name='line']", "north")
        page.wait_for_url("**line=north*")
        assert "north" in page.inner_text("h1 + p")
        page.goto(page.url.replace("/trends", "/thresholds"))
        page.wait_for_selector("#histogram svg")
        expect(page.locator("#outcome")).to_contain_text("of 30 verdicts")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not violations(page)


def test_an_alarm_shows_on_every_page(
    site: tuple[str, Station], calibrated_run: Path, page_as: PageAs
) -> None:
    """In the header, with a link to the test; looking into it ends the alarm."""
    station = site[1]
    add_board(station.database, calibrated_run)
    page = page_as("engineer", "/")
    assert not page.is_visible("#alarm")
    add_scores(station, calibrated_run, normal(300, 2.0))
    expect(page.locator("#alarm")).to_have_text("! Drift: board")
    page.click("#alarm")
    told = page.locator("text=good parts score higher than those of the calibration").first
    expect(told).to_be_visible()
    with page.expect_navigation():
        page.click("#restart")
    expect(page.locator("#alarm")).to_be_hidden()
