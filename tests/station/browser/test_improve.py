"""Ten parts corrected in the browser, the model refined with them, compared and promoted."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from flawmap.demonstration.drawing import draw_dataset
from flawmap.inspection.bundle.manifest import read_manifest, run_id
from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Model, Part, Product
from flawmap.station.improve.models import go_live
from station.browser.test_pages import violations
from station.browsing import PageAs
from station.filling import add_product
from station.inspecting import add_key

LIMIT = 300_000  # ms for a refinement, on a busy machine
SHOTS = os.environ.get("FLAWMAP_SHOTS")  # a folder: keep screenshots, to look at


def look(page: Any, name: str) -> None:
    """Check a page's accessibility, and keep what it looks like if somebody wants to see it."""
    assert not violations(page), name
    if SHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def send(site: tuple[str, Station], folder: Path, count: int) -> list[str]:
    """Send images of good and defective parts by turns; return which are defective."""
    address, station = site
    draw_dataset(folder, 1, size=96, train_good=1, test_good=count, defective_per_type=3)
    good = sorted((folder / "test" / "good").glob("*.png"))
    bad = sorted(p for p in folder.glob("test/*/*.png") if p.parent.name != "good")
    headers, defective = add_key(station), []
    for index in range(count):
        path = bad.pop() if index % 2 else good[index]
        data = {"number": f"P{index:02}", "product": "board"}
        files = {"image": (path.name, path.read_bytes())}
        answer = httpx.post(
            f"{address}/api/v1/inspect", files=files, data=data, headers=headers, timeout=60
        )
        assert answer.status_code == 200, answer.text
        defective += [data["number"]] if index % 2 else []
    return defective


def review(page: Any, defective: list[str], count: int) -> None:
    """Decide on parts by keys; draw on every second defective one."""
    for number in range(count):
        expect(page.locator("#number")).to_have_text(f"P{number:02}")
        is_bad = f"P{number:02}" in defective
        if is_bad and number % 4 == 1:
            page.keyboard.press("d")
            page.get_by_label("Type", exact=True).fill("dent")
            box = page.locator("canvas").bounding_box()
            middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            for dx, dy in ((0, 0), (80, 0), (80, 80)):
                page.mouse.click(middle[0] + dx, middle[1] + dy)
            page.keyboard.press("Enter")
            page.wait_for_selector("#drawn li")
            page.keyboard.press("d")
        page.keyboard.press("r" if is_bad else "g")
    end = time.monotonic() + 30
    while page.evaluate("document.body.dataset.jobs") != "0":
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.long
def test_correct_improve_compare_promote(
    site: tuple[str, Station], page_as: PageAs, tiny_run: Path, tmp_path: Path
) -> None:
    address, station = site
    product = add_product(station.database)
    go_live(station, product, Path(shutil.copytree(tiny_run, tmp_path / "parent" / "run")))
    defective = send(site, tmp_path / "data", 14)
    page = page_as("engineer", "/review?order=oldest&which=all")
    review(page, defective, 14)
    page.goto(f"{address}/review?order=teaches")
    page.get_by_text("unlike those reviewed before").wait_for()
    look(page, "review-teaches")
    page.goto(f"{address}/review")
    expect(page.get_by_label("Order")).to_have_value("teaches")  # remembered

    page.goto(f"{address}/products/{product}")
    page.get_by_text("Refine model 1").wait_for()
    look(page, "improve")
    page.get_by_role("button", name="Improve").click()
    page.get_by_text("Refines the model in force").wait_for()
    page.get_by_text("candidate", exact=True).wait_for(timeout=LIMIT)
    look(page, "candidate")
    page.get_by_role("link", name="Compare").click()
    page.get_by_text("Refined from model 1").wait_for()
    page.get_by_role("heading", name="Errors on 4 reviewed parts").wait_for()
    look(page, "compared")

    with station.database.read() as session:
        candidate = session.scalars(select(Model).where(Model.state == "candidate")).one()
        drawn = len(session.scalars(select(DrawnDefect)).all())
    learned = read_manifest(Path(candidate.folder)).training.defects
    assert drawn == 4  # of P01, P05, P09, P13; the last one is kept for the comparison
    assert learned is not None
    assert learned.types == {"dent": 3, "defective": 2}
    assert learned.without_mask == 2

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Promote").click()
    page.wait_for_url(f"**/products/{product}")
    expect(page.get_by_role("button", name="Roll back to model 1")).to_be_visible()
    look(page, "promoted")
    with station.database.read() as session:
        assert session.get_one(Product, product).model_id == candidate.id
    answer = httpx.post(
        f"{address}/api/v1/inspect",
        files={"image": next((tmp_path / "data").glob("train/good/*.png")).read_bytes()},
        data={"product": "board"},
        headers=add_key(station),
        timeout=60,
    )
    assert answer.json()["run"] == run_id(read_manifest(Path(candidate.folder)))
    with station.database.read() as session:
        assert session.scalar(select(Part.model).order_by(Part.id.desc()).limit(1))
