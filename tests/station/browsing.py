"""Fixtures of tests in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.security.roles import Role
from station.filling import add_login
from station.serving import serving

_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_QUIET += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
PageAs = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a screen; skips the test where it is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    sync_api.expect.set_options(timeout=30_000)  # as all other waiting, not 5 seconds
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path, database_url: str | None) -> Iterator[tuple[str, Station]]:
    """Address of a running station, and the station itself."""
    app = create_app(StationConfig(data=tmp_path / "station", database=database_url))
    with serving(app) as address:
        yield address, app.state.station


@pytest.fixture
def page_as(browser: Any, site: tuple[str, Station]) -> Iterator[PageAs]:
    """A function that opens a page for a role; errors on the page's console fail the test.

    ``page_as(role, path="/", width=1280, height=800, dark=False)``.
    """
    address, station = site
    contexts: list[Any] = []
    errors: list[str] = []

    def open_page(
        role: Role, path: str = "/", *, width: int = 1280, height: int = 800, dark: bool = False
    ) -> Any:
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        cookie, _ = add_login(station.database, role)
        context.add_cookies([{"name": "flawmap_session", "value": cookie, "url": address}])
        page = context.new_page()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors, errors
