"""Products, their images, and data sets, by the API and by the pages' forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import AuditEntry, LearningImage, Part, Product
from flawmap.station.improve.data.plan import make_plan
from flawmap.station.improve.data.way import choose_way
from flawmap.station.improve.data.write import Writer
from flawmap.station.improve.progress import progress_of
from flawmap.station.improve.training import Options
from flawmap.station.review.drawing import Drawing, draw
from station.conftest import ClientAs
from station.filling import add_user
from station.imaged import add_imaged
from station.improving import add_job, add_model, add_trials, decide_all, give_images, part_png


@pytest.fixture
def client(client_as: ClientAs) -> TestClient:
    """A client of an engineer."""
    return client_as("engineer")


def test_create_rename_retire(client: TestClient, station: Station) -> None:
    made = client.post("/api/v1/products", json={"name": "  top   view "}).json()
    assert made["name"] == "top view"
    assert client.post("/api/v1/products", json={"name": "top view"}).status_code == 409
    assert client.post("/api/v1/products", json={}).json()["name"] == "Product 1"
    base = f"/api/v1/products/{made['id']}"
    assert client.post(f"{base}/name", json={"name": "top"}).json()["name"] == "top"
    assert (
        "regular expression" in client.post(f"{base}/rule", json={"rule": "A[0-"}).json()["detail"]
    )
    assert (
        "repeats a group" in client.post(f"{base}/rule", json={"rule": "(a+)+$"}).json()["detail"]
    )
    for rule in (r"(AB)+\d+", r"\(a+\)+", "([0-9]{3})+", "A[0-9]+"):
        assert client.post(f"{base}/rule", json={"rule": rule}).json()["rule"] == rule
    assert client.post(f"{base}/retire").json()["retired_at"]
    assert "Bring back" in client.get(f"/products/{made['id']}").text
    assert client.get("/api/v1/products/77").status_code == 404
    with station.database.read() as session:
        actions = list(session.scalars(select(AuditEntry.action)))
    assert {"product.create", "product.rename", "product.rule", "product.retire"} <= set(actions)


def test_each_image_is_checked(client: TestClient, station: Station) -> None:
    product = client.post("/api/v1/products", json={"name": "x"}).json()["id"]
    good = part_png(1)
    files = [good, b"no image", good, good[:200], part_png(2)]
    answer = client.post(
        f"/api/v1/products/{product}/images", files=[("images", ("a.png", one)) for one in files]
    ).json()
    assert len(answer["ids"]) == answer["total"] == 2
    assert answer["known"] == [2]
    assert set(answer["refused"]) == {"1", "3"}
    shown = client.get(f"/products/images/{answer['ids'][0]}/thumbnail")
    assert shown.headers["content-type"] == "image/webp"
    gone = client.post(f"/products/{product}/images/{answer['ids'][0]}/remove")
    assert gone.status_code == 200
    with station.database.read() as session:
        assert len(session.scalars(select(LearningImage)).all()) == 1


def test_a_form_without_scripts(client: TestClient) -> None:
    files = [("images", (f"{seed}.png", part_png(seed))) for seed in range(3)]
    headers = {"accept": "text/html"}
    page = client.post("/products", files=files, data={"name": "by form"}, headers=headers)
    assert page.status_code == 200
    assert "by form" in page.text
    assert "3 images of good parts" in page.text
    again = client.post("/products", files=files, data={"name": "by form"}, headers=headers)
    assert again.status_code == 409
    assert "of this name already" in again.text


def test_without_a_product_engineers_begin(client_as: ClientAs) -> None:
    assert "Drop images of good parts" in client_as("engineer").get("/").text
    assert "Drop images" not in client_as("operator").get("/").text


def test_the_data_set_holds_masks_and_says_what_it_left_out(
    station: Station, tmp_path: Path
) -> None:
    product_id = give_images(station, 4)
    add_model(station, product_id, "live", folder=str(tmp_path / "run"))
    drawn = add_imaged(station, seed=1, verdict="reject", number="A")
    for seed in range(2, 8):
        add_imaged(station, seed=seed, number="A" if seed == 7 else f"B{seed}")
    given = add_imaged(station, seed=50, data=part_png(0), number="C", size=(96, 96))
    decide(station, {drawn: "reject", given: "reject"})
    corners = [(8.0, 4.0), (16.0, 4.0), (16.0, 12.0), (8.0, 12.0)]
    drawing = {"type": "scratch", "shape": "polygon", "geometry": {"points": corners}}
    with station.database.write() as session:
        draw(session, drawn, add_user(station.database, "x", "operator"), Drawing(**drawing))
        product = session.get_one(Product, product_id)
        plan = make_plan(session, product)
    way = choose_way(plan, Options())
    assert way.kind == "train"
    assert "cannot be read" in way.why
    manifest = Writer(station, product, plan, way, "destseg", tmp_path / "job").write()
    assert json.loads((tmp_path / "job" / "dataset.json").read_text()) == manifest
    good = list((tmp_path / "job" / "data" / "good").iterdir())
    assert len(good) == len([one for one in manifest["learned"] if one["kind"] == "good"]) == 8
    (mask,) = (tmp_path / "job" / "data" / "masks" / "scratch").iterdir()
    assert np.asarray(Image.open(mask)).sum() == 255 * 64
    assert (tmp_path / "job" / "data" / "defective" / "scratch" / mask.name).exists()
    reasons = {one["part"]: one["reason"] for one in manifest["left_out"]}
    assert set(reasons.values()) == {
        "another image of the part was learned from",
        "given as good, but decided reject by a reviewer",
    }
    assert [one["part"] for one in manifest["compared"]] == [given]
    listed = (tmp_path / "job" / "compared.txt").read_text().splitlines()
    assert all(Path(line).is_file() for line in listed)
    assert len(listed) == 1


def decide(station: Station, decisions: dict[int, str]) -> None:
    """Let all parts be good but these."""
    with station.database.write() as session:
        for part in session.scalars(select(Part)):
            part.decision, part.reviewers = decisions.get(part.id, "good"), 1


def test_progress_comes_from_log_and_output(station: Station) -> None:
    product_id = give_images(station, 1)
    job = add_job(station, product_id, "running")
    done = progress_of(station.config.data.absolute() / "learning" / "jobs" / str(job))
    assert (done.step, done.steps, done.percent, done.loss) == (600, 1200, 50, 0.2)
    assert done.seconds_left == pytest.approx(90.0)
    assert done.lines == ("plain folder: 60 good to train on",)
    assert progress_of(Path("/none")).steps is None


def test_the_pages_show_trainings_and_candidates(client: TestClient, station: Station) -> None:
    product_id = give_images(station, 2)
    for seed in range(21):
        add_imaged(station, seed=seed, verdict="reject" if seed % 2 else "good")
    decide_all(station)
    model = add_model(station, product_id, "candidate", add_model(station, product_id, "live"))
    add_trials(station, model)
    job = add_job(station, product_id, "running")
    page = client.get(f"/products/{product_id}").text
    assert "Step 600 of 1\u2009200" in page
    assert "1 candidate" in client.get("/products").text
    polled = client.get(f"/products/{product_id}/work?job={job}")
    assert "hx-trigger" in polled.text
    text = client.get(f"/models/{model}").text
    assert "Errors on 21 reviewed parts" in text
    assert "95 % interval" in text
    assert "No part was judged in shadow yet" in client.get(f"/models/{model}?kind=shadow").text
    over = client.get(f"/products/{product_id}/work?job={job + 1}")
    assert over.headers["hx-refresh"] == "true"
