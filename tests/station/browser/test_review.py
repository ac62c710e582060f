"""The review page in a browser, driven by keys, by touch, and without anything to review."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect, Part, Review
from flawmap.station.review import locks
from flawmap.station.review.decisions import decide
from station.browser.test_pages import violations
from station.browsing import PageAs
from station.filling import add_user, fill
from station.reviewing import fill_with_images

Site = tuple[str, Station]
_SHOWN = "document.querySelector('#number').textContent"


def _shown(page: Any) -> str:
    name: str = page.evaluate(_SHOWN)
    return name


def _until(reached: Callable[[], Any]) -> None:
    """Wait for something; Playwright's own wait_for_function needs eval, which pages forbid."""
    end = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < end, "it did not come to that within 30 seconds"
        time.sleep(0.01)


def _key(page: Any, key: str) -> None:
    """Press a key and wait until another part is shown."""
    before = _shown(page)
    page.keyboard.press(key)
    _until(lambda: _shown(page) != before)


def _stored(page: Any) -> None:
    """Wait until the server has answered everything."""
    _until(lambda: page.evaluate("document.body.dataset.jobs") == "0")


def _decisions(station: Station) -> dict[str, str | None]:
    with station.database.read() as session:
        return {part.number or "": part.decision for part in session.scalars(select(Part))}


def _open(page_as: PageAs, path: str = "/review", **more: Any) -> Any:
    page = page_as("operator", path, **more)
    _until(lambda: _shown(page) not in ("", "Part"))  # what the page says before its first part
    return page


def test_one_key_decides_and_the_next_part_is_there_at_once(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 10, flagged=True)
    page = _open(page_as)
    page.evaluate("""() => {
      window.times = [];
      document.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
      const shown = () => window.pressed && times.push(performance.now() - pressed);
      document.addEventListener("flawmap-shown", shown);
    }""")
    seen = {}
    for index in range(9):
        seen[_shown(page)] = decision = ("good", "reject", "unsure")[index % 3]
        page.wait_for_timeout(30)  # nobody is faster
        _key(page, decision[0])
        _until(lambda: page.evaluate("times.length") == len(seen))
    _stored(page)
    assert np.median(page.evaluate("times")) < 300
    decided = {name: word for name, word in _decisions(station).items() if word}
    assert decided == seen
    expect(page.locator("#today")).to_have_text("9")
    expect(page.locator("#left")).to_have_text("1")


def test_undo_brings_the_part_back_and_the_history_keeps_both(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 5, flagged=True)
    page = _open(page_as)
    first = _shown(page)
    page.keyboard.press("c")
    page.keyboard.type("only dust: g, r and u are letters here")
    page.keyboard.press("Escape")
    _key(page, "g")
    page.keyboard.press("z")
    _until(lambda: _shown(page) == first)
    _stored(page)
    assert _decisions(station)[first] is None
    history = page.locator("#history li").all_text_contents()
    assert len(history) == 2
    assert "operator decided good “only dust: g, r and u are letters here”" in history[0]
    assert "operator undid" in history[1]
    _key(page, "r")
    _stored(page)
    assert _decisions(station)[first] == "reject"


def test_back_and_put_off(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 3, flagged=True)
    with station.database.write() as session:
        session.execute(update(Part).values(score=4.67e-05))
    page = _open(page_as)
    first = _shown(page)
    expect(page.locator("#facts")).to_contain_text("4.7e-05")
    _key(page, "n")
    second = _shown(page)
    _key(page, "r")
    page.keyboard.press("b")
    _until(lambda: _shown(page) == second)
    expect(page.locator("#facts .verdict")).to_have_text("reject")
    _key(page, "g")  # corrected
    page.keyboard.press("g")
    page.wait_for_selector("#empty:not([hidden])")
    page.get_by_role("button", name="Show what you put off (1)").click()
    _until(lambda: _shown(page) == first)
    _stored(page)
    assert _decisions(station)[second] == "good"
    assert _decisions(station)[first] is None


def test_a_held_key_decides_once(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 5, flagged=True)
    page = _open(page_as)
    before = _shown(page)
    for _ in range(4):
        page.keyboard.down("g")  # from the second time on it is a repeat
    page.keyboard.up("g")
    _until(lambda: _shown(page) != before)
    _stored(page)
    assert list(_decisions(station).values()).count("good") == 1


def test_a_defect_is_drawn_typed_and_removed(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 2, flagged=True)
    page = _open(page_as)
    page.keyboard.press("d")
    page.get_by_label("Type", exact=True).fill("scratch")
    box = page.locator("canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for dx, dy in ((0, 0), (60, 0), (60, 60)):
        page.mouse.click(middle[0] + dx, middle[1] + dy)
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawn li")
    _key(page, "r")
    _stored(page)
    with station.database.read() as session:
        (drawn,) = session.scalars(select(DrawnDefect)).all()
        acts = session.scalars(select(Review.action).order_by(Review.id)).all()
    assert (drawn.type, drawn.shape, acts) == ("scratch", "polygon", ["draw", "decide"])
    scale = min(box["width"], box["height"]) / 256
    assert drawn.area == pytest.approx((60 / scale) ** 2 / 2, rel=0.15)
    page.keyboard.press("b")
    page.get_by_label("Remove scratch").click()
    _until(lambda: not page.locator("#drawn li").count())
    page.keyboard.press("1")  # the type is known now, and chosen while drawing
    expect(page.get_by_label("Type", exact=True)).to_have_value("scratch")


def test_a_decision_that_is_not_stored_brings_the_part_back(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 4, flagged=True)
    page = _open(page_as)
    first = _shown(page)
    page.evaluate("""() => {
      const send = station.send;
      station.send = async (method, path, body) => {
        if (!path.endsWith("/reviews")) return send(method, path, body);
        station.send = send;
        throw new Error("The disk is full.");
      };
    }""")
    page.keyboard.press("g")  # the next part is shown for a moment only
    page.wait_for_selector("text=Not stored: The disk is full.")
    assert _shown(page) == first
    _key(page, "g")
    _stored(page)
    assert _decisions(station)[first] == "good"


def test_who_decides_second_learns_of_it(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill_with_images(station, 3, flagged=True)
    page = _open(page_as)
    first = _shown(page)
    somebody = add_user(station.database, "somebody", "operator")
    with station.database.write() as session:
        part = session.scalars(select(Part).where(Part.number == first)).one()
        decide(session, part.id, somebody, "reject")
    _key(page, "g")
    page.wait_for_selector("text=Somebody had decided reject meanwhile: yours stands now.")
    assert _decisions(station)[first] == "good"


def test_a_part_that_somebody_has_open_can_be_taken_over(site: Site, page_as: PageAs) -> None:
    _, station = site
    (part_id, *_) = fill_with_images(station, 2, flagged=True)
    anna = add_user(station.database, "anna", "operator")
    with station.database.write() as session:
        locks.hold(session, [part_id], anna)
    page = _open(page_as, f"/review?part={part_id}")
    page.wait_for_selector("text=anna has this part open.")
    page.get_by_role("button", name="Take over").click()
    page.wait_for_selector("text=You took this part over from anna.")
    with station.database.read() as session:
        assert locks.holders(session, [part_id], anna) == {part_id: "operator"}


def test_an_empty_queue_says_what_comes_next(site: Site, page_as: PageAs) -> None:
    _, station = site
    page = page_as("operator", "/review")
    page.wait_for_selector("#empty:not([hidden])")
    assert page.locator("#work").is_hidden()
    assert page.get_by_role("link", name="Check good parts too").is_visible()
    assert page.locator("#again").is_hidden()
    assert not violations(page)
    fill(station.database, 40)
    page.evaluate("document.querySelector('#again').click()")
    _until(lambda: _shown(page) not in ("", "Part"))  # what the page says before its first part
    expect(page.locator("#note")).to_have_text("The image of this part is not stored.")


def test_what_could_not_be_inspected_is_decided_by_keys_too(site: Site, page_as: PageAs) -> None:
    _, station = site
    fill(station.database, 300)
    with station.database.write() as session:
        flagged = Part.verdict.in_(("reject", "review"))
        session.execute(update(Part).where(flagged).values(decision="good"))
    page = page_as("operator", "/review")
    page.get_by_role("link", name="Decide on 3 that could not be inspected").click()
    _until(lambda: _shown(page) == "SN-1-0000099")
    expect(page.locator("#verdict")).to_have_text("error")
    expect(page.locator("#note")).to_contain_text("not an image")
    assert page.get_by_role("button", name="Draw").is_disabled()
    _key(page, "r")
    _stored(page)
    assert _decisions(station)["SN-1-0000099"] == "reject"
    expect(page.locator("#left")).to_have_text("2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "dark"), [pytest.param(1280, False, marks=pytest.mark.long), (800, True)]
)
def test_the_page_is_accessible_and_its_targets_are_large(
    site: Site, page_as: PageAs, width: int, dark: bool
) -> None:
    _, station = site
    ids = fill_with_images(station, 3, flagged=True)
    user = add_user(station.database, "operator", "operator")
    with station.database.write() as session:
        for part in session.scalars(select(Part)):
            part.number = "SN-" + "0123456789" * 12
        decide(session, ids[0], user, "good", "a comment")
    page = _open(page_as, f"/review?part={ids[0]}", width=width, dark=dark)
    page.keyboard.press("d")
    assert not violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate("""[...document.querySelectorAll("main button, main select")]
      .map((one) => one.getBoundingClientRect()).filter((box) => box.width)
      .map((box) => Math.min(box.width, box.height))""")
    assert min(sizes) >= 47.5
