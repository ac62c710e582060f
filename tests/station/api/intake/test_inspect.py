"""Images sent over HTTP."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawmap.inspection.inspector import Inspector
from flawmap.inspection.record import InspectionRecord
from station.inspecting import Inspecting, draw_png, inspecting


@pytest.fixture(scope="module")
def line(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspecting]:
    with inspecting(tmp_path_factory.mktemp("line"), f"board={tiny_run}") as line:
        yield line


def test_the_answer_is_the_record_of_a_stored_part(line: Inspecting, tiny_run: Path) -> None:
    data = draw_png(1)
    answer = line.send(data, number="SN 1", line="2", shift="early")
    assert answer.status_code == 200
    found = answer.json()
    alone = Inspector.load(tiny_run, threads=1).inspect(data)
    record = InspectionRecord.model_validate(found)
    assert (record.score, record.verdict) == (alone.score, alone.verdict)
    assert record.image == hashlib.sha256(data).hexdigest()
    part = line.parts()[-1]
    assert (part.id, part.number, part.line, part.fields) == (
        found["part"], "SN 1", "2", {"shift": "early"}
    )  # fmt: skip
    assert found["url"] == f"/parts/{part.id}"
    assert line.station.files.image_path(part.image, ".png").read_bytes() == data
    stored = line.station.files.read_map(part.image, part.model)
    assert np.abs(stored - alone.raw_map).max() <= alone.raw_map.max() / 65535


def test_a_form_says_the_same(line: Inspecting) -> None:
    data = draw_png(2)
    texts = {"product": "board", "number": "Prüfling 7", "shift": "late"}
    answer = line.client.post("/api/v1/inspect", data=texts, files={"image": ("../x.exe", data)})
    assert answer.status_code == 200
    part = line.parts()[-1]
    assert (part.number, part.fields, part.suffix) == ("Prüfling 7", {"shift": "late"}, ".png")


def test_headers_say_the_same(line: Inspecting) -> None:
    headers = {"Content-Type": "image/png", "X-Flawmap-Number": "9", "X-Flawmap-Shift": "late"}
    line.client.post("/api/v1/inspect", content=draw_png(3), headers=headers)
    part = line.parts()[-1]
    assert (part.number, part.fields) == ("9", {"shift": "late"})


def test_a_batch_keeps_the_order(line: Inspecting) -> None:
    images = [draw_png(seed) for seed in (10, 11, 12)]
    files: list[Any] = [("images", ("a.png", data)) for data in images] + [("images", ("b", b"no"))]
    answer = line.client.post("/api/v1/inspect/batch", data={"line": "3", "key": "k"}, files=files)
    found = answer.json()["parts"]
    assert [one["image"] for one in found] == [
        hashlib.sha256(data).hexdigest() for data in [*images, b"no"]
    ]
    assert "verdict" in found[2]
    assert "detail" in found[3]
    assert {part.line for part in line.parts()[-4:]} == {"3"}
    assert {part.key for part in line.parts()[-4:]} == {"k/0", "k/1", "k/2", "k/3"}


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"GIF89a....", draw_png()[:300], b"\xff\xd8\xff" + bytes(99)]
)
def test_what_is_no_image_ends_as_a_part_without_verdict(line: Inspecting, data: bytes) -> None:
    answer = line.send(data, number="broken")
    assert answer.status_code == 422
    found = answer.json()
    part = line.parts()[-1]
    assert found["part"] == part.id
    assert found["detail"] == found["error"] == part.error
    assert (part.verdict, part.number, part.has_map) == (None, "broken", False)
    assert part.has_image == (part.suffix != "")


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "Send a form"),
        ({"data": {"number": "1"}}, 415, "Send a form"),
        ({"files": {"image": b""}, "data": {"number": "1" * 201}}, 422, "number"),
        ({"files": {"image": b"", "other": b""}}, 422, "at most 1 image"),
        ({"files": {"image": b""}, "data": {"deadline": "-1"}}, 422, "deadline"),
        ({"files": {"image": b""}, "data": {"a" * 61: "1"}}, 422, "fields"),
        ({"files": {"image": b""}, "data": {"product": "x"}}, 422, "Products: board"),
        (
            {"content": b"--a\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=a"}},
            422,
            "cut short",
        ),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 422, "boundary"),
    ],
)
def test_refusals_store_nothing(
    line: Inspecting, request_: dict[str, Any], status: int, says: str
) -> None:
    before = len(line.parts())
    answer = line.client.post("/api/v1/inspect", **request_)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert len(line.parts()) == before
    assert line.intake.waiting == 0


def test_an_upload_is_capped_before_it_is_read(tiny_run: Path, tmp_path: Path) -> None:
    with inspecting(tmp_path / "data", tiny_run, upload_megabytes=1) as line:

        def body(size: int) -> Iterator[bytes]:  # without a length
            sent.append(0)
            for _ in range(size):
                sent[-1] += 2**16
                yield bytes(2**16)

        sent: list[int] = []
        assert line.send(bytes(2**20 + 1)).status_code == 413
        assert line.client.post("/api/v1/inspect", content=body(40)).status_code == 413
        form = {"image": io.BytesIO(bytes(2**20 + 9))}
        assert line.client.post("/api/v1/inspect", files=form).status_code == 413
        assert line.parts() == []
        assert line.intake.capacity._bytes == 0  # nothing stays reserved


def test_the_key_gives_the_same_answer(line: Inspecting) -> None:
    data = draw_png(20)
    first, again = (line.send(data, key="once") for _ in range(2))
    assert first.json() == again.json()
    other = line.send(draw_png(21), key="once")
    assert other.status_code == 409
    assert "belongs to another image" in other.json()["detail"]


def test_a_key_fits_with_the_place_in_the_batch(line: Inspecting) -> None:
    files = [("images", ("a.png", draw_png(0)))] * 32
    for length, status in ((97, 200), (98, 422)):
        form = {"key": "k" * length}
        answer = line.client.post("/api/v1/inspect/batch", data=form, files=files)
        assert answer.status_code == status
    assert "at most 97 characters" in answer.json()["detail"]
    assert max(len(part.key or "") for part in line.parts()) == 100


def test_one_key_at_the_same_time_is_one_part(line: Inspecting) -> None:
    data, barrier = draw_png(22), threading.Barrier(8)

    def send() -> int:
        barrier.wait()
        return line.client.post(
            "/api/v1/inspect",
            content=data,
            headers={"Content-Type": "image/png", "Idempotency-Key": "race"},
        ).json()["part"]

    with ThreadPoolExecutor(8) as pool:
        parts = {future.result() for future in [pool.submit(send) for _ in range(8)]}
    assert len(parts) == 1
    assert [part.key for part in line.parts()].count("race") == 1


def test_nobody_inspects_without_the_scope(line: Inspecting) -> None:
    headers = {"Authorization": "", "Content-Type": "image/png"}
    assert line.client.post("/api/v1/inspect", content=b"", headers=headers).status_code == 401
