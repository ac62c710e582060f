"""Reviews by keyboard: milliseconds from a key to the next part shown, in Chromium.

``python benchmarks/station_review.py`` fills a station with parts (``--parts``, images of 256 by
256 and of ``--large`` pixels), decides on 200 of each by keys as a person would press them, and
writes ``benchmarks/results/station_review.json``. It needs chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright
from record import ROOT, write_result
from sqlalchemy import func, select

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.database.tables import Part, Review

sys.path.insert(0, str(ROOT / "tests"))

from station.filling import add_login, fill
from station.reviewing import fill_with_images
from station.serving import serving

_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_PAUSE = 150  # milliseconds between a part shown and the key: a fast person
_LISTEN = """() => {
  window.times = [];
  document.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  const shown = () => window.pressed && times.push(performance.now() - pressed);
  document.addEventListener("flawmap-shown", shown);
}"""


def review(page: Any, count: int) -> list[float]:
    """Decide on ``count`` parts; return the milliseconds from each key to the next part shown."""
    page.evaluate(_LISTEN)
    for index in range(count):
        page.wait_for_timeout(_PAUSE)
        page.keyboard.press("gru"[index % 3])
        end = time.monotonic() + 10
        while page.evaluate("times.length") <= index:
            if time.monotonic() > end:
                raise SystemExit(f"After {index} reviews no next part was shown.")
    while page.evaluate("document.body.dataset.jobs") != "0":
        page.wait_for_timeout(10)
    times: list[float] = page.evaluate("times")
    return times


def measure(browser: Any, size: tuple[int, int], count: int, others: int) -> dict[str, Any]:
    """Review ``count`` parts with images of this size among ``others`` that nobody flagged."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(StationConfig(data=Path(folder) / "station"))
        station = app.state.station
        fill_with_images(station, count + 1, size, flagged=True)
        fill(station.database, others, product="other")
        with serving(app) as address:
            cookie, _ = add_login(station.database, "operator")
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.add_cookies([{"name": "flawmap_session", "value": cookie, "url": address}])
            page = context.new_page()
            page.goto(f"{address}/review?product=board")
            page.wait_for_timeout(1500)
            times = review(page, count)
            context.close()
        with station.database.read() as session:
            decided = session.scalar(select(func.count()).where(Part.decision.is_not(None)))
            acts = session.scalar(select(func.count(Review.id)))
    if not decided == acts == count:
        raise SystemExit(f"{count} keys made {acts} acts on {decided} parts.")
    return {
        "image": list(size),
        "reviews": count,
        "parts_in_database": count + 1 + others,
        "median_ms": round(float(np.median(times)), 1),
        "p95_ms": round(float(np.quantile(times, 0.95)), 1),
        "longest_ms": round(max(times), 1),
    }


def main() -> None:
    """Measure small and large images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--parts", type=int, default=20_000, help="other parts in the database")
    parser.add_argument("--large", type=int, nargs=2, default=(2048, 2448), metavar=("H", "W"))
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("It needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_QUIET))
        sizes = ((256, 256), tuple(given.large))
        runs = [measure(browser, size, given.reviews, given.parts) for size in sizes]
        browser.close()
    write_result("station_review", keys="g, r, u in turn", pause_ms=_PAUSE, runs=runs)


if __name__ == "__main__":
    main()
