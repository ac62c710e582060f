"""From nothing to a better inspector: begin, inspect, review, refine, promote, roll back."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.improve.jobs import job_folder
from flawmap.station.insight.sampling import is_sampled
from station.filling import add_login
from station.improving import part_png
from station.inspecting import wait_until

OPTIONS = {"steps": 12, "size": "128x128", "rotate": "slight"}
LIMIT = 240.0  # seconds, on a busy machine
OPEN = ("waiting", "running")
SAMPLED = next(n for n in range(500, 999) if is_sampled(hashlib.sha256(part_png(n)).hexdigest()))


def draw(client: TestClient, part: int) -> None:
    """Draw the defect of a flawed part."""
    points = [[40, 40], [52, 40], [52, 52], [40, 52]]
    drawing = {"type": "hole", "shape": "polygon", "geometry": {"points": points}}
    answer = client.post(f"/api/v1/parts/{part}/defects", json=drawing)
    assert answer.status_code < 300, answer.text


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for a training; return its last state."""
    end = time.monotonic() + LIMIT
    while (state := client.get(f"/api/v1/trainings/{job['id']}").json())["state"] in OPEN:
        assert time.monotonic() < end, state
        time.sleep(0.1)
    return dict(state)


@pytest.mark.slow
@pytest.mark.long
def test_the_whole_way(tmp_path: Path) -> None:
    app = create_app(StationConfig(data=tmp_path / "station", threads=1))
    with TestClient(app) as client:
        station = app.state.station
        cookie, csrf = add_login(station.database, "engineer")
        client.headers["X-CSRF-Token"] = csrf
        client.cookies.set("flawmap_session", cookie)
        assert client.get("/", follow_redirects=False).headers["location"] == "/products/new"

        product = client.post("/api/v1/products", json={"name": "block"}).json()["id"]
        base = f"/api/v1/products/{product}"
        files = [("images", ("x.png", part_png(n))) for n in range(12)]
        assert client.post(f"{base}/images", files=files).json()["total"] == 12
        job = client.post(f"{base}/trainings", json=OPTIONS).json()
        assert ended(client, job)["state"] == "done", client.get(f"/products/{product}").text

        parts = inspect_and_review(client)
        assert "Refine model" in client.get(f"/products/{product}").text
        job = client.post(f"{base}/trainings", json={}).json()
        assert ended(client, job)["state"] == "done", ended(client, job)
        check_data_set(job_folder(station.config, job["id"]), parts)
        images = read_manifest(job_folder(station.config, job["id"]) / "run").calibration.images
        assert hashlib.sha256(part_png(SAMPLED)).hexdigest() in images

        first, candidate = client.get(f"{base}").json()["model"], candidate_of(client, base)
        compared = client.get(f"/api/v1/models/{candidate}/comparison").json()
        assert compared["parts"] == compared["reviewed"] == 3
        assert "Escape" in client.get(f"/models/{candidate}").text
        runs = {one["id"]: one["run"] for one in client.get(f"{base}/models").json()}
        assert len(set(runs.values())) == 2

        assert client.post(f"/api/v1/models/{candidate}/shadow/true").status_code == 200
        assert inspect(client, part_png(70))["run"] == runs[first]
        seen = f"/api/v1/models/{candidate}/comparison?kind=shadow"
        wait_until(lambda: client.get(seen).json()["parts"] == 1)
        assert client.post(f"/api/v1/models/{candidate}/promote").json()["state"] == "live"
        assert inspect(client, part_png(71))["run"] == runs[candidate]
        assert client.post(f"{base}/roll-back").json()["id"] == first
        assert inspect(client, part_png(72))["run"] == runs[first]
        assert client.get(base).json()["shadow"] is None
        assert client.get(f"/products/{product}").status_code == 200


def inspect(client: TestClient, data: bytes, number: str | None = None) -> dict[str, Any]:
    """Inspect an image."""
    params = {"number": number} if number else {}
    answer = client.post("/api/v1/inspect", files={"image": data}, data=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def inspect_and_review(client: TestClient) -> list[int]:
    """Inspect 14 parts and decide on each: ten to learn from; of the later ones one is the third
    one once more. Before them comes one of the random sample.
    """
    first = inspect(client, part_png(SAMPLED), "S")["part"]
    client.post(f"/api/v1/parts/{first}/reviews", json={"decision": "good"})
    parts = []
    for n in range(14):
        flawed = n in (1, 4, 7, 13)
        number = "A2" if n == 11 else f"A{n}"
        part = inspect(client, part_png(30 + n, flawed=flawed), number)["part"]
        decision = {"decision": "reject" if flawed else "good"}
        answer = client.post(f"/api/v1/parts/{part}/reviews", json=decision)
        assert answer.status_code < 300, answer.text
        if flawed:
            draw(client, part)
        parts.append(part)
    return parts


def candidate_of(client: TestClient, base: str) -> int:
    """The product's one candidate."""
    rows = client.get(f"{base}/models").json()
    (found,) = [one["id"] for one in rows if one["state"] == "candidate"]
    return int(found)


def check_data_set(folder: Path, parts: list[int]) -> None:
    """Look at what the refinement learned from."""
    manifest = json.loads((folder / "dataset.json").read_text())
    assert manifest["way"]["kind"] == "refine"
    learned = {one.get("part") for one in manifest["learned"]}
    compared = {one["part"] for one in manifest["compared"]}
    assert not learned & compared
    assert {one["image"] for one in manifest["learned"]}.isdisjoint(
        one["image"] for one in manifest["compared"]
    )
    assert not [one for one in manifest["learned"] if one["origin"] == "given"]  # known already
    assert parts[11] in {one["part"] for one in manifest["left_out"]}
    masks = list((folder / "data" / "masks" / "hole").iterdir())
    assert len(masks) == len([one for one in manifest["learned"] if one["mask"]]) == 3
    run = read_manifest(folder / "run").training
    assert run.defects is not None
    assert run.defects.types == {"hole": 3}
    assert len(run.history) == 1
