"""Rows of products, models, trainings and trials for tests of pages, without any training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sqlalchemy import select

from flawmap.data.image_io.images import encode_png
from flawmap.station.context import Station
from flawmap.station.database.tables import Job, Model, Part, Product, TrialVerdict
from flawmap.station.database.tables.base import now
from flawmap.station.improve.images import add_images
from flawmap.station.improve.jobs import job_folder
from flawmap.station.improve.training import OUTPUT, RUN
from station.filling import add_product

_VERDICTS = ("good", "review", "reject")


def part_png(seed: int, *, flawed: bool = False) -> bytes:
    """A bright part on a dark ground, another one for each seed; a flawed one has a black hole."""
    rng = np.random.default_rng(seed)
    image = np.full((96, 96, 3), 30, np.float64)
    image[16:80, 16:80] = 180
    if flawed:
        image[40:52, 40:52] = 0
    return encode_png(np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8))


def give_images(station: Station, count: int, product: str = "board") -> int:
    """Give a product images to learn from; return its id."""
    product_id = add_product(station.database, product)
    add_images(station, None, product_id, [part_png(seed) for seed in range(count)])
    return product_id


def add_model(
    station: Station, product_id: int, state: str, parent: int | None = None, folder: str = "/none"
) -> int:
    """Add a model's row; a live one becomes the product's. Return its id."""
    with station.database.write() as session:
        model = Model(
            product_id=product_id,
            run="ab" * 8,
            folder=folder,
            state=state,
            parent_id=parent,
            created_at=now(),
        )
        session.add(model)
        session.flush()
        if state == "live":
            session.get_one(Product, product_id).model_id = model.id
        return model.id


def add_trials(station: Station, model_id: int, kind: str = "compared") -> None:
    """Let a model judge each stored part of its product, one in seven unlike the present model."""
    rng = np.random.default_rng(1)
    with station.database.write() as session:
        product_id = session.get_one(Model, model_id).product_id
        for part in session.scalars(select(Part).where(Part.product_id == product_id)):
            if part.verdict is None or part.score is None:
                continue
            other = _VERDICTS[int(rng.integers(0, 3))]
            session.add(
                TrialVerdict(
                    model_id=model_id,
                    kind=kind,
                    part_id=part.id,
                    verdict=other if part.id % 7 == 0 else part.verdict,
                    score=part.score,
                    present=part.verdict,
                    present_score=part.score,
                    created_at=now(),
                )
            )


def decide_all(station: Station) -> None:
    """Let each part be decided as it was judged, one in ten the other way."""
    with station.database.write() as session:
        for part in session.scalars(select(Part).where(Part.verdict.is_not(None))):
            bad = (part.verdict == "reject") != (part.id % 10 == 0)
            part.decision, part.reviewers, part.decided_at = "reject" if bad else "good", 1, now()


def add_job(station: Station, product_id: int, state: str, message: str | None = None) -> int:
    """Add a training that seems to be half done; return its id."""
    with station.database.write() as session:
        job = Job(
            product_id=product_id,
            kind="begin",
            state=state,
            settings={},
            folder="",
            message=message,
            created_at=now(),
        )
        session.add(job)
        session.flush()
        folder = job_folder(station.config, job.id)
        job.folder = str(folder)
    _half_done(folder)
    return job.id


def _half_done(folder: Path) -> None:
    (folder / RUN).mkdir(parents=True)
    said = "plain folder: 60 good to train on\n"
    said += "training: 500 of 1200 (student, loss 0.213)\n"
    (folder / OUTPUT).write_text(said)
    line = {"step": 600, "phase": "student", "loss": 0.2, "images_per_s": 20.0, "seconds": 90.0}
    (folder / RUN / "training.jsonl").write_text(json.dumps(line) + "\n")
