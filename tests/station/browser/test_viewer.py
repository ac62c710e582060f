"""The image viewer: what it paints, zoom and pan, drawing by pointer and keyboard."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from station.browsing import PageAs

WIDTH, HEIGHT = 200, 100
Open = Callable[..., Any]


@pytest.fixture
def viewer(page_as: PageAs, site: tuple[str, object]) -> Open:
    """A function that opens a page with the viewer alone, 640 by 480; returns the page."""
    address, _ = site

    def open_viewer(size: tuple[int, int] = (WIDTH, HEIGHT), extra: str = "drawable") -> Any:
        page = page_as("operator", "/")
        page.route("**/test/*", lambda route: _answer(route, size, extra))
        page.goto(f"{address}/test/page")
        page.wait_for_function("document.body.dataset.shown")
        return page

    return open_viewer


def _answer(route: Any, size: tuple[int, int], extra: str) -> None:
    name = route.request.url.rsplit("/", 1)[1]
    if name == "page":
        route.fulfill(body=_page(size, extra), content_type="text/html")
    else:
        route.fulfill(body=_png(size, heat=name == "heat"), content_type="image/png")


def _page(size: tuple[int, int], extra: str) -> str:
    width, height = size
    return f"""<!doctype html><title>viewer</title>
<link rel="stylesheet" href="/static/station.css"><link rel="stylesheet" href="/static/viewer.css">
<style>flawmap-viewer {{ width: 640px; --viewer-size: 480px }} body {{ margin: 0 }}</style>
<script src="/static/viewer.js" defer></script>
<body><flawmap-viewer src="/test/image" heat="/test/heat" width="{width}" height="{height}"
 defects="[[20, 20, 40, 30]]" types='["scratch", "dent"]' {extra}></flawmap-viewer><script>
window.drawn = [];
document.addEventListener("flawmap-shown", () => document.body.dataset.shown = "yes");
document.addEventListener("flawmap-draw", (event) => drawn.push(event.detail));
</script>"""


def _png(size: tuple[int, int], heat: bool) -> bytes:
    """A blue image, or a heat map that is red in its right half."""
    width, height = size
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., 2], pixels[..., 3] = 200, 255
    if heat:
        pixels = np.zeros((50, 100, 4), np.uint8)
        pixels[:, 50:] = (255, 0, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _pixel(page: Any, x: float, y: float) -> tuple[int, ...]:
    """Colour of the canvas at a point in CSS pixels, after the next frame."""
    colour: list[int] = page.evaluate(
        """async ([x, y]) => {
          for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
          const context = document.querySelector("canvas").getContext("2d");
          return [...context.getImageData(x, y, 1, 1).data];
        }""",
        [x, y],
    )
    return tuple(colour)


def _canvas_box(page: Any) -> dict[str, float]:
    box: dict[str, float] = page.locator("canvas").bounding_box()
    return box


def _at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where an image point is in the canvas while the whole image is shown."""
    box = _canvas_box(page)
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left, top = (box["width"] - WIDTH * scale) / 2, (box["height"] - HEIGHT * scale) / 2
    return left + x * scale, top + y * scale


def _on_page(page: Any, x: float, y: float) -> tuple[float, float]:
    box, (left, top) = _canvas_box(page), _at(page, x, y)
    return box["x"] + left, box["y"] + top


def test_it_paints_image_heat_and_boxes(viewer: Open) -> None:
    page = viewer()
    assert _pixel(page, *_at(page, 10, 80)) == (0, 0, 200, 255)
    page.wait_for_function("document.querySelector('flawmap-viewer').opacity === 0.7")
    red, _, blue, _ = _pixel(page, *_at(page, 150, 80))
    assert red == pytest.approx(0.7 * 255, abs=3)
    assert blue == pytest.approx(0.3 * 200, abs=3)
    assert _pixel(page, *_at(page, 20, 35))[:3] == (255, 70, 235)  # the box's left edge
    page.evaluate("document.querySelector('flawmap-viewer').set({opacity: 0})")
    assert _pixel(page, *_at(page, 150, 80)) == (0, 0, 200, 255)


def test_keys_and_wheel_zoom_and_whole_comes_back(viewer: Open) -> None:
    page = viewer()
    whole = _at(page, 20, 35)
    page.locator("canvas").focus()
    for _ in range(4):
        page.keyboard.press("+")
    assert _pixel(page, *whole)[:3] != (255, 70, 235)
    page.keyboard.press("0")
    assert _pixel(page, *whole)[:3] == (255, 70, 235)
    page.mouse.move(*_on_page(page, 20, 35))  # the point below the pointer stays
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)  # the browser hands wheel events over when it likes
    left, top = whole
    assert any(_pixel(page, left + dx, top)[:3] == (255, 70, 235) for dx in (-1, 0, 1))
    assert _pixel(page, *_at(page, 60, 35))[:3] != (255, 70, 235)  # the box's right edge is gone


def test_a_polygon_is_drawn_by_pointer(viewer: Open) -> None:
    page = viewer()
    page.get_by_label("Polygon").click()
    page.get_by_label("Type").fill("scratch")
    for x, y in ((100, 20), (140, 20), (140, 60)):
        page.mouse.click(*_on_page(page, x, y))
    page.get_by_role("button", name="Keep").click()
    (drawn,) = page.evaluate("drawn")
    assert (drawn["type"], drawn["shape"]) == ("scratch", "polygon")
    expected = [(100, 20), (140, 20), (140, 60)]
    assert np.abs(np.subtract(drawn["geometry"]["points"], expected)).max() < 0.5


def test_brush_and_eraser_make_a_mask_and_undo_takes_back(viewer: Open) -> None:
    page = viewer()
    page.evaluate("document.querySelector('flawmap-viewer').set({tool: 'brush', brush: 10})")
    _stroke(page, (50, 50), (90, 50))
    page.get_by_label("Take back the last stroke").click()
    assert page.get_by_role("button", name="Keep").is_disabled()
    _stroke(page, (50, 50), (90, 50))
    page.get_by_label("Eraser").click()
    _stroke(page, (70, 40), (70, 60))
    page.get_by_role("button", name="Keep").click()
    (drawn,) = page.evaluate("drawn")
    mask = np.zeros(WIDTH * HEIGHT, bool)
    for start, length in np.reshape(drawn["geometry"]["runs"], (-1, 2)):
        mask[start : start + length] = True
    mask = mask.reshape(HEIGHT, WIDTH)
    assert drawn["geometry"]["size"] == [HEIGHT, WIDTH]
    assert mask[50, 52]
    assert mask[50, 88]
    assert not mask[50, 70]
    assert mask.sum() == pytest.approx(40 * 10 + np.pi * 25 - 100, abs=25)


def _stroke(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*_on_page(page, *start))
    page.mouse.down()
    page.mouse.move(*_on_page(page, *end), steps=8)
    page.mouse.up()


def test_a_polygon_is_drawn_by_keys_alone(viewer: Open) -> None:
    page = viewer()
    page.evaluate("document.querySelector('flawmap-viewer').set({tool: 'polygon'})")
    page.locator("canvas").focus()
    for key in ("Space", "Shift+ArrowRight", "Space", "Shift+ArrowDown", "Space", "Enter"):
        page.keyboard.press(key)
    (drawn,) = page.evaluate("drawn")
    (x0, y0), (x1, y1), (x2, y2) = drawn["geometry"]["points"]
    assert (x0, y0) == (100, 50)
    assert x1 > x0
    assert y1 == y0
    assert x2 == x1
    assert y2 > y1


@pytest.mark.slow
def test_twenty_megapixels_stay_fluid(viewer: Open) -> None:
    page = viewer((5472, 3648), "")
    milliseconds = page.evaluate("""async () => {
      const viewer = document.querySelector("flawmap-viewer"), times = [];
      for (let i = 0; i < 30; i++) {
        viewer.zoom(i < 15 ? 1.3 : 0.8);
        viewer.move(9, -7);
        await new Promise(requestAnimationFrame);
        const start = performance.now();
        viewer.attributeChangedCallback("defects", null, "[[1, 1, 9, 9]]");
        await new Promise(requestAnimationFrame);
        document.querySelector("canvas").getContext("2d").getImageData(5, 5, 1, 1);
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b)[15];
    }""")
    assert milliseconds < 60, milliseconds
