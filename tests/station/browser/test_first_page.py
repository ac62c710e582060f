"""The first page is light and fast: bytes as the browser counts them, images included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flawmap.data.image_io.images import encode_png
from flawmap.station.context import Station
from station.browsing import PageAs
from station.imaged import add_imaged

_MOST_MILLISECONDS = 300
_COMPLETE = "[...document.images].every((one) => !one.src || one.complete)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "most"), [("/", 100_000), pytest.param("/parts", 150_000, marks=pytest.mark.long)]
)
def test_the_first_page_is_small_and_fast(
    site: tuple[str, Station], page_as: PageAs, path: str, most: int
) -> None:
    address, station = site
    for seed in range(30):
        add_imaged(station, seed=seed, data=part_like(seed), size=(256, 256))
    page = page_as("administrator", path)  # thumbnails are made and templates compiled once
    page.wait_for_timeout(500)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    first = transferred(page, session, address + path)
    assert 40_000 < first <= most
    assert transferred(page, session, address + path) < first / 1.8  # the page itself
    assert min(_milliseconds(page) for _ in range(4)) <= _MOST_MILLISECONDS  # others may be busy


def _milliseconds(page: Any) -> float:
    """Load the page without cache; return when it could be used."""
    page.reload()
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
    return float(timing["domContentLoadedEventEnd"])


def transferred(page: Any, session: Any, url: str) -> float:
    """Return the bytes that a visit transfers, headers included."""
    sizes: list[float] = []

    def count(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    session.on("Network.loadingFinished", count)
    page.goto(url)
    page.wait_for_timeout(300)
    while not page.evaluate(_COMPLETE):
        page.wait_for_timeout(50)
    session.remove_listener("Network.loadingFinished", count)
    return sum(sizes)


def part_like(seed: int) -> bytes:
    """Return a PNG that compresses about as well as a part on a table: shapes and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    image = np.full((256, 256), 60.0)
    for radius, grey in ((100, 180.0), (70, 150.0), (30, 60.0)):
        image[(x - 128 - seed % 7) ** 2 + (y - 128) ** 2 < radius**2] = grey
    image += 12 * np.sin(x / 6) * (image > 100) + rng.normal(0, 3, image.shape)
    return encode_png(np.clip(image[..., None] + [0, 8, 16], 0, 255).astype(np.uint8))
