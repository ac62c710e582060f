"""A product made in the browser: images dropped on the page, checked, and trained on."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from playwright.sync_api import expect

from flawmap.station.context import Station
from flawmap.station.database.tables import Job
from flawmap.station.improve import work
from station.browser.test_pages import violations
from station.browsing import PageAs
from station.filling import add_product
from station.imaged import add_imaged
from station.improving import add_job, add_model, add_trials, decide_all, give_images, part_png

_DROP = """(zone, files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "image/png" }));
  }
  zone.dispatchEvent(new DragEvent("dragover", { dataTransfer: transfer, bubbles: true }));
  zone.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


def drop(page: Any, files: dict[str, bytes]) -> None:
    """Drop files on the page's zone."""
    named = [(name, base64.b64encode(data).decode()) for name, data in files.items()]
    page.locator(".drop").evaluate(_DROP, named)


@pytest.mark.slow
def test_dropped_images_become_a_product(
    site: tuple[str, Station], page_as: PageAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "train_command", lambda *_: ["sleep", "600"])
    page = page_as("engineer")
    page.wait_for_url("**/products/new")
    files = {f"{seed}.png": part_png(seed) for seed in range(7)}
    drop(page, files | {"notes.txt": b"notes", "broken.png": b"hello"})
    page.get_by_text("8 of 8 checked, 1 not taken").wait_for()
    page.get_by_text("1 not taken", exact=True).click()
    page.get_by_text("broken.png: Not an image").wait_for()
    expect(page.locator(".fresh li")).to_have_count(7)
    page.get_by_role("button", name="Train").click()
    page.wait_for_url("**/products/1")
    page.get_by_text("running", exact=True).wait_for()
    expect(page.get_by_role("heading", name="Product 1")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped by engineer").wait_for()


@pytest.mark.slow
def test_a_training_that_ends_shows_itself(site: tuple[str, Station], page_as: PageAs) -> None:
    _, station = site
    product_id = give_images(station, 1)
    job = add_job(station, product_id, "running")
    page = page_as("engineer", f"/products/{product_id}")
    page.get_by_text("Step 600 of").wait_for()
    with station.database.write() as session:
        session.get_one(Job, job).state = "done"
    page.get_by_text("done", exact=True).wait_for()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dark"), [pytest.param(1280, False, marks=pytest.mark.long), (800, True)]
)
def test_the_pages_are_accessible(
    site: tuple[str, Station], page_as: PageAs, width: int, dark: bool
) -> None:
    address, station = site
    product_id = give_images(station, 3)
    other = add_product(station.database, "A very long name of a product " * 3)
    add_job(station, other, "failed", "It failed: no images.")
    add_job(station, product_id, "running")
    for seed in range(9):
        add_imaged(station, seed=seed, verdict="reject" if seed % 2 else "good")
    decide_all(station)
    model = add_model(station, product_id, "candidate", add_model(station, product_id, "live"))
    add_trials(station, model)
    page = page_as("engineer", "/products/new", width=width, dark=dark)
    for path in ("new", product_id, other, f"../models/{model}", ""):
        page.goto(f"{address}/products/{path}".removesuffix("/"))
        assert not violations(page), path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
