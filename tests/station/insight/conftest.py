"""A product whose run has only a manifest, and parts with drawn maps that it judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sqlalchemy import select

from flawmap.inspection.bundle.manifest import (
    Manifest,
    read_manifest,
    run_id,
    write_manifest,
)
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.decision import ImageInfo, Inspection, PostProcessor
from flawmap.inspection.record import Provenance
from flawmap.inspection.tiled import RawPrediction
from flawmap.station.context import Station
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Model, Part, Product
from flawmap.station.database.tables.base import now
from flawmap.station.insight.thresholds.stored import Range
from flawmap.station.insight.versions import note
from flawmap.station.parts.write import NewPart
from station.filling import add_product

MAP, IMAGE = (64, 64), (96, 160)  # a map's pixel is 3.75 image pixels


def draw_map(seed: int) -> NDArray[np.float32]:
    """A smooth map with values in 0..1, some with bright spots."""
    rng = np.random.default_rng(seed)
    drawn = ndimage.gaussian_filter(rng.random(MAP), 2.0) - 0.3
    for _ in range(int(rng.integers(0, 4))):
        y, x = rng.integers(3, 61, 2)
        reach = int(rng.integers(1, 4))
        drawn[y - reach : y + reach, x - reach : x + reach] += rng.uniform(0.0, 0.5)
    clipped: NDArray[np.float32] = np.clip(drawn, 0.0, 1.0).astype(np.float32)
    return clipped


def score_of(drawn: NDArray[np.float32]) -> float:
    return float(np.sort(drawn, axis=None)[-10:].mean())


@pytest.fixture
def run(calibrated_run: Path) -> Path:
    """A run folder without a model, calibrated on 99 drawn maps."""
    maps = [draw_map(10_000 + index) for index in range(99)]
    scores, peaks = [score_of(one) for one in maps], [float(one.max()) for one in maps]
    calibration = Calibration.from_scores(scores, peaks, false_reject=0.1, review=0.3)
    manifest = read_manifest(calibrated_run)
    write_manifest(calibrated_run, manifest.model_copy(update={"calibration": calibration}))
    return calibrated_run


@pytest.fixture
def board(station: Station, run: Path) -> int:
    """The id of a product that the run inspects."""
    return add_board(station.database, run)


@pytest.fixture
def plain_board(station: Station, calibrated_run: Path) -> int:
    """The id of a product whose run was calibrated on scores of a normal distribution.

    The station's own drift test is stopped: only the test's own reads parts.
    """
    station.services["drift"].stop()
    return add_board(station.database, calibrated_run)


def note_now(station: Station, product_id: int, run: Path) -> None:
    """Note the settings of a run, as a station does before they judge."""
    with station.database.write() as session:
        note(session, session.get_one(Product, product_id), read_manifest(run))


def add_board(database: Database, run: Path) -> int:
    """Add a product that a run inspects; return its id."""
    manifest, product_id = read_manifest(run), add_product(database)
    with database.write() as session:
        model = Model(
            product_id=product_id, run=run_id(manifest), folder=str(run), state="live",
            created_at=now(),
        )  # fmt: skip
        session.add(model)
        session.flush()
        product = session.get_one(Product, product_id)
        product.model_id = model.id
        session.flush()
        note(session, product, manifest)
    return product_id


Inspect = Callable[..., list[Part]]


@pytest.fixture
def inspect(station: Station, board: int, run: Path) -> Inspect:
    """A function that judges drawn maps with the run's settings of now, and stores them."""

    def judge(seeds: Sequence[int], **changes: object) -> list[Part]:
        return inspect_maps(station, board, run, seeds, **changes)

    return judge


def inspect_maps(
    station: Station, product_id: int, run: Path, seeds: Sequence[int], **changes: object
) -> list[Part]:
    """Judge drawn maps with the settings of a run, and store them as parts of a product."""
    process = PostProcessor.load(run)
    parts = []
    for seed in seeds:
        drawn, data = draw_map(seed), f"image {seed}".encode()
        new = NewPart(
            product_id, judged(process, drawn, data), data, ".png", now(), "http", total_ms=14.0
        )
        parts.append(replace(new, **changes))  # type: ignore[arg-type]
    return station.writer.store(parts)


def judged(process: PostProcessor, drawn: NDArray[np.float32], data: bytes) -> Inspection:
    """The inspection of a drawn map."""
    info = ImageInfo(IMAGE, None, hashlib.sha256(data).hexdigest())
    model = process.manifest.files["model.onnx"]
    provenance = Provenance(run_id(process.manifest), model, "float32", "onnxruntime", "cpu")
    return process(RawPrediction(drawn, score_of(drawn)), info, provenance)


def all_parts(product_id: int) -> Range:
    return Range(product_id, 0, now() + 1)


def export_lines(station: Station, folder: Path) -> tuple[Path, list[int]]:
    """Write all parts as `predict --out --json` does; return the lines' file and the ids."""
    folder.mkdir(parents=True, exist_ok=True)
    lines, ids = [], []
    with station.database.read() as session:
        parts = session.scalars(select(Part).order_by(Part.id)).all()
    for part in parts:
        name = f"{part.id}.npy"
        np.save(folder / name, station.files.read_map(part.image or "", part.model))
        record = dict(part.record, format=1)
        record["map"] = record["map"] | {"file": name}
        lines.append(record)
        ids.append(part.id)
    path = folder / "lines.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path, ids


def set_manifest(run: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Change a run as a command line would."""
    write_manifest(run, change(read_manifest(run)))
