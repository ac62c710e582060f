"""Screenshots of the station's pages for the documentation, with the demo's product.

``tools/station_screenshots.py RUN [--out docs/station]``: RUN is the run of `flawmap demo`. Images
of its product are drawn, inspected and stored as if they had come within the last hours; then each
page is shot in Debian's Chromium. Needs the extras `serve` and `dev`, and Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sqlalchemy import select

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from flawmap.demonstration.drawing import draw_dataset  # noqa: E402
from flawmap.inspection.inspector import Inspector  # noqa: E402
from flawmap.station.app import create_app  # noqa: E402
from flawmap.station.config import StationConfig  # noqa: E402
from flawmap.station.context import Station  # noqa: E402
from flawmap.station.database.tables import Part, Product  # noqa: E402
from flawmap.station.database.tables.base import now  # noqa: E402
from flawmap.station.intake.versions import note_model, note_settings  # noqa: E402
from flawmap.station.parts.write import NewPart  # noqa: E402
from station.filling import add_login  # noqa: E402
from station.serving import serving  # noqa: E402

_BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
_SECOND = 1_000_000  # microseconds
_EVERY = 4 * _SECOND  # between two parts
_HEAT = "document.querySelector('[data-heat-switch]').click()"
_LARGEST = 120_000  # bytes of a screenshot


class Shot(NamedTuple):
    """One screenshot: its file's name, the page, and what to do there before."""

    name: str
    path: str
    width: int = 1280
    height: int = 800
    dark: bool = False
    script: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "station")
    parser.add_argument("--parts", type=int, default=400)
    parser.add_argument("--tablet", action="store_true", help="800 x 1100 pixels, to look at")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(StationConfig(data=Path(folder) / "station"))
        station: Station = app.state.station
        fill_with_demo(station, given.run, Path(folder) / "data", given.parts)
        with serving(app) as address:
            wanted = shots(station)
            if given.tablet:
                wanted = [shot._replace(width=800, height=1100) for shot in wanted]
            shoot(address, station, wanted, given.out)


def fill_with_demo(station: Station, run: Path, data: Path, count: int) -> None:
    """Store `count` inspected parts of the demo's product: most good, one in twelve defective."""
    draw_dataset(data, 0, train_good=1, test_good=24, defective_per_type=2)
    inspector = Inspector.load(run)
    product_id = _add_product(station, inspector)
    parts = [_part(inspector, product_id, path, i) for i, path in enumerate(_stream(data, count))]
    begun = now() - count * _EVERY  # inspected now, dated as if they had come one by one
    dated = [replace(part, received_at=begun + i * _EVERY) for i, part in enumerate(parts, 1)]
    for first in range(0, count, 50):
        station.writer.store(dated[first : first + 50])


def _stream(data: Path, count: int) -> Iterator[Path]:
    """Yield paths of images as a line might bring them."""
    good = sorted((data / "test" / "good").glob("*.png"))
    bad = sorted(p for p in data.glob("test/*/*.png") if p.parent.name != "good")
    rng = np.random.default_rng(1)
    for i in range(count):
        defective = i % 12 == 5 or i == count - 3
        yield (bad if defective else good)[rng.integers(len(bad if defective else good))]


def _part(inspector: Inspector, product_id: int, path: Path, index: int) -> NewPart:
    data = path.read_bytes()
    begun = time.perf_counter()
    outcome = inspector.inspect(data)
    taken = 1000 * (time.perf_counter() - begun)
    return NewPart(
        product_id=product_id,
        outcome=outcome,
        data=data,
        suffix=".png",
        received_at=now(),
        source="http",
        number=f"A4-{2600 + index:06}",
        line=f"Line {1 + index % 2}",
        fields={"shift": "early", "batch": f"B{17 + index // 200}"},
        waited_ms=0.4,
        total_ms=round(taken + 0.9, 1),
    )


def _add_product(station: Station, inspector: Inspector) -> int:
    """Add the product with its live model and the version of its settings."""
    assert inspector.source is not None
    with station.database.write() as session:
        product = Product(name="Flange 40", created_at=now())
        session.add(product)
        session.flush()
        note_model(session, product.id, Path(inspector.source.folder), inspector.run_id)
        note_settings(session, product.id, inspector)
        return product.id


def shots(station: Station) -> list[Shot]:
    """Return what is shot: the pages of the tutorial."""
    rejected = select(Part.id).where(Part.verdict == "reject").order_by(Part.id.desc())
    with station.database.read() as session:
        reject = session.scalar(rejected.limit(1))
    return [
        Shot("live", "/"),
        Shot("live-dark", "/", dark=True, script=_HEAT),
        Shot("parts-table", "/parts?view=table&verdict=reject&within=24h", dark=True),
        Shot("part", f"/parts/{reject}"),
        Shot("review", "/review"),
        Shot("thresholds", "/thresholds"),
    ]


def shoot(address: str, station: Station, wanted: list[Shot], out: Path) -> None:
    """Take screenshots and store them as small JPEG files."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    cookie, _ = add_login(station.database, "administrator", "maria")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_BROWSER))
        for shot in wanted:
            page = _open(browser, address, cookie, shot)
            target = out / f"{shot.name}.jpg"
            _save(page.screenshot(), target)
            print(f"{target}: {target.stat().st_size // 1000} kB")
            page.context.close()
        browser.close()


def _open(browser: Any, address: str, cookie: str, shot: Shot) -> Any:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.dark else "light",
    )
    context.add_cookies([{"name": "flawmap_session", "value": cookie, "url": address}])
    page = context.new_page()
    page.goto(address + shot.path)
    page.wait_for_selector("#state[data-state=running]")
    if shot.script:
        page.evaluate(shot.script)
    page.wait_for_timeout(1200)  # images
    return page


def _save(png: bytes, path: Path) -> None:
    """Write a screenshot in the best quality that fits into the size that is allowed."""
    with Image.open(io.BytesIO(png)) as image:
        full = image.convert("RGB")
    for quality in range(92, 59, -4):
        full.save(path, "JPEG", quality=quality, subsampling=0, optimize=True)
        if path.stat().st_size <= _LARGEST:
            return


if __name__ == "__main__":
    main()
