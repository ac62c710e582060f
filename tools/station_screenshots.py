"""Screenshots of the station's pages for the documentation, with the demo's product.

``tools/station_screenshots.py RUN [--out docs/station] [--improve]``: RUN is the run of
`flawmap demo`. Images of its product are drawn, inspected and stored as if they had come within
the last hours; then each page is shot in Debian's Chromium. Needs the extras `serve` and `dev`, and
Chromium. With ``--improve`` each image is decided on and drawn by its ground truth, and RUN is
refined with that, which takes minutes and needs the extra `train`; then its pages are shot.
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
from flawmap.station.database.tables import Job, Model, Part, Product  # noqa: E402
from flawmap.station.database.tables.base import now  # noqa: E402
from flawmap.station.improve.jobs import OPEN  # noqa: E402
from flawmap.station.improve.service import trainings_of  # noqa: E402
from flawmap.station.improve.training import Options  # noqa: E402
from flawmap.station.intake.versions import note_model, note_settings  # noqa: E402
from flawmap.station.parts.write import NewPart  # noqa: E402
from flawmap.station.review.decisions import decide  # noqa: E402
from flawmap.station.review.drawing import Drawing, Mask, draw  # noqa: E402
from flawmap.utils.files import digest  # noqa: E402
from station.filling import add_login, add_user  # noqa: E402
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
    parser.add_argument("--improve", action="store_true", help="the pages of an improvement")
    parser.add_argument("--tablet", action="store_true", help="800 x 1100 pixels, to look at")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(StationConfig(data=Path(folder) / "station"))
        station: Station = app.state.station
        fill_with_demo(station, given.run, Path(folder) / "data", given.parts)
        with serving(app) as address:
            data = Path(folder) / "data"
            wanted = improved(station, data) if given.improve else shots(station)
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


def improved(station: Station, data: Path) -> list[Shot]:
    """Review one part of each image, refine the model, and return the pages that show it."""
    user_id = add_user(station.database, "maria", "administrator")
    paths = {digest(path): path for path in data.glob("test/*/*.png")}
    with station.database.read() as session:
        product_id = session.scalars(select(Product.id)).one()
        parts = {one.image: one for one in session.scalars(select(Part).order_by(Part.id.desc()))}
    for image, part in parts.items():
        kind = paths[str(image)].parent.name
        with station.database.write() as session:
            if kind != "good":
                draw(session, part.id, user_id, _drawing(paths[str(image)], kind))
            decide(session, part.id, user_id, "good" if kind == "good" else "reject")
    job_id = trainings_of(station).begin(None, product_id, Options()).id
    while (job := _job(station, job_id)).state in OPEN:
        time.sleep(1.0)
    if job.state != "done":
        raise SystemExit(f"The refinement failed: {job.message}")
    with station.database.read() as session:
        model = session.scalars(select(Model.id).where(Model.state == "candidate")).one()
    return [Shot("improve", f"/products/{product_id}"), Shot("candidate", f"/models/{model}")]


def _job(station: Station, job_id: int) -> Job:
    with station.database.read() as session:
        return session.get_one(Job, job_id)


def _drawing(path: Path, kind: str) -> Drawing:
    """Return the ground truth of an image as a reviewer would have drawn it."""
    truth = path.parents[2] / "ground_truth" / kind / f"{path.stem}_mask.png"
    with Image.open(truth) as image:
        mask = np.asarray(image.convert("L")) > 0
    flat = np.diff(np.concatenate([[0], mask.ravel().astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(flat == 1), np.flatnonzero(flat == -1)
    runs = np.stack([starts, ends - starts], axis=1).ravel().tolist()
    size = (mask.shape[0], mask.shape[1])
    return Drawing(type=kind, shape="mask", geometry=Mask(size=size, runs=runs))


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
