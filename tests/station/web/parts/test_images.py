"""Images, thumbnails and heat maps of parts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from flawmap.data.image_io.images import encode_png
from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from station.conftest import ClientAs
from station.filling import fill
from station.imaged import add_imaged


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_thumbnail_is_small_and_kept(station: Station, client_as: ClientAs) -> None:
    part, client = add_imaged(station, size=(300, 600)), client_as("operator")
    first = client.get(f"/parts/{part}/thumbnail")
    assert opened(first.content).size == (256, 128)
    (kept,) = (station.files.folder / "thumbnails").glob("*/*.webp")
    assert kept.read_bytes() == first.content
    again = client.get(f"/parts/{part}/thumbnail", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_an_image_that_cannot_be_decoded_shows_a_cross(
    station: Station, client_as: ClientAs
) -> None:
    part = add_imaged(station, data=b"\x89PNG\r\n\x1a\nbroken")
    found = client_as("operator").get(f"/parts/{part}/thumbnail")
    assert found.status_code == 200
    assert found.headers["content-type"] == "image/svg+xml"


def test_an_image_is_sent_as_received_and_can_do_no_harm(
    station: Station, client_as: ClientAs
) -> None:
    data = encode_png(np.zeros((4, 4, 3), np.uint8)) + b"<script>alert(1)</script>"
    part = add_imaged(station, data=data, size=(4, 4))
    found = client_as("operator").get(f"/parts/{part}/image")
    assert found.content == data
    assert found.headers["content-type"] == "image/png"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in found.headers["content-security-policy"]


def test_deep_images_and_tiff_are_sent_as_png(station: Station, client_as: ClientAs) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((5, 7), 4095, np.uint16)).save(file, "TIFF")
    part = add_imaged(station, data=file.getvalue(), suffix=".tif", size=(5, 7))
    shown = opened(client_as("operator").get(f"/parts/{part}/image").content)
    assert (shown.format, shown.size) == ("PNG", (7, 5))
    assert np.asarray(shown).max() == 255


@pytest.mark.parametrize("small", [False, True])
def test_a_heat_map_has_the_images_proportions_and_is_clear_where_quiet(
    station: Station, client_as: ClientAs, small: bool
) -> None:
    part = add_imaged(station, size=(600, 1200), map_size=(32, 32))
    query = "?small=1" if small else ""
    found = opened(client_as("operator").get(f"/parts/{part}/heat.png{query}").content)
    assert found.size == ((256, 128) if small else (1024, 512))
    opacity = np.asarray(found.convert("RGBA"))[..., 3]
    height, width = opacity.shape
    assert opacity[height * 12 // 32, width * 12 // 32] == 255
    assert opacity[0, 0] < 20


@pytest.mark.parametrize("what", ["thumbnail", "image", "heat.png"])
def test_what_is_not_stored_is_not_found(station: Station, client_as: ClientAs, what: str) -> None:
    fill(station.database, 1)
    client = client_as("operator")
    assert client.get(f"/parts/1/{what}").status_code == 404
    assert client.get(f"/parts/{2**70}/{what}").status_code == 404
    part = add_imaged(station)
    with station.database.read() as session:
        row = session.get_one(Part, part)
    station.files.image_path(row.image or "", ".png").unlink()
    station.files.map_path(row.image or "", row.model).unlink()
    assert client.get(f"/parts/{part}/{what}").status_code == (200 if what == "thumbnail" else 404)
