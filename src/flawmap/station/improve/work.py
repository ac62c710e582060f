"""What a training does, step by step; a step that was done is not done again after a stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest, run_id
from flawmap.station.context import Station
from flawmap.station.database.tables import Job, Model, Product, TrialVerdict
from flawmap.station.database.tables.base import now
from flawmap.station.improve import models
from flawmap.station.improve.data.known import read_dataset
from flawmap.station.improve.data.plan import make_plan
from flawmap.station.improve.data.way import choose_way, has_head, method_of
from flawmap.station.improve.data.write import Writer
from flawmap.station.improve.exporting import export
from flawmap.station.improve.jobs import BEGIN, too_few
from flawmap.station.improve.taking_over import notes_of, take_over
from flawmap.station.improve.training import (
    CALIBRATE,
    DEFECTIVE,
    GOOD,
    RUN,
    Options,
    RunProcess,
    calibrate_command,
    is_trained,
    predict_command,
    refine_command,
    train_command,
)

_LOST = "The product lost its inspector during the training: begin again."


def work(station: Station, job: Job, run_process: RunProcess) -> str:
    """Carry out a training; return what came of it. Raises FlawmapError."""
    folder = Path(job.folder)
    run = folder / RUN
    with station.database.read() as session:
        product = session.get_one(Product, job.product_id)
    dataset = read_dataset(folder) or _write_dataset(station, job, product)
    if not is_trained(folder):
        run_process(job, _learn_command(folder, job, dataset), "Training")
    if _has(dataset, CALIBRATE) and not _is_calibrated(run, dataset):
        run_process(job, calibrate_command(folder), "Calibrating")
    begins = job.kind == BEGIN and product.model_id is None
    if not begins:
        present = _live(station, product)
        if present.folder == str(run):
            return f"Model {present.id} inspects already."
        if not dataset.get("refines"):
            take_over(job, present, run_process)
    export(station.config, job, run, run_process)
    if begins:
        model = models.go_live(station, product.id, run)
        return f"Model {model.id} inspects since it was trained."
    verdicts = _compare(station, job, product, dataset, run_process)
    model = _add_candidate(station, product, run, verdicts)
    done = f"Model {model.id} is a candidate, compared on {len(verdicts)} reviewed parts."
    return " ".join([done, *notes_of(folder)])


def _write_dataset(station: Station, job: Job, product: Product) -> dict[str, Any]:
    options = Options.model_validate(job.settings)
    with station.database.read() as session:
        plan = make_plan(session, session.get_one(Product, product.id))
    way = choose_way(plan, options, look=True)
    if problem := too_few(plan, way):
        raise FlawmapError(problem)
    method = method_of(plan, options)
    return Writer(station, product, plan, way, method, Path(job.folder)).write()


def _learn_command(folder: Path, job: Job, dataset: dict[str, Any]) -> list[str]:
    """Return the command that refines or trains, or goes on with that."""
    defects = _has(dataset, DEFECTIVE)
    if dataset.get("refines"):
        return refine_command(folder, Path(dataset["refines"]), _has(dataset, GOOD), defects)
    options = Options.model_validate(job.settings)
    method = dataset.get("method") or options.method or "destseg"
    return train_command(folder, options, method, defects and has_head(method, {}))


def _has(dataset: dict[str, Any], kind: str) -> bool:
    return any(one["kind"] == kind for one in dataset["learned"])


def _is_calibrated(run: Path, dataset: dict[str, Any]) -> bool:
    """Whether the sampled parts calibrate the run already, as after a restart."""
    images = {one["image"] for one in dataset["learned"] if one["kind"] == CALIBRATE}
    return bool(images & set(read_manifest(run).calibration.images))


def _compare(
    station: Station,
    job: Job,
    product: Product,
    dataset: dict[str, Any],
    run_process: RunProcess,
) -> list[TrialVerdict]:
    """Let candidate and present inspector judge the parts that neither learned from."""
    if not dataset["compared"]:
        return []
    folder = Path(job.folder)
    records = {}
    for name, run in (
        ("present", Path(_live(station, product).folder)),
        ("candidate", folder / RUN),
    ):
        out = folder / f"{name}.jsonl"
        out.unlink(missing_ok=True)
        command = predict_command(station.config, run, folder, out)
        run_process(job, command, "Comparing with the model in force")
        records[name] = _by_image(out)
    return [
        found
        for part in dataset["compared"]
        if (found := _verdict(part, records["present"], records["candidate"]))
    ]


def _live(station: Station, product: Product) -> Model:
    """Return the product's present model. Raises FlawmapError if it has none any more."""
    with station.database.read() as session:
        model_id = session.get_one(Product, product.id).model_id
        if model_id is None:
            raise FlawmapError(_LOST)
        return session.get_one(Model, model_id)


def _by_image(path: Path) -> dict[str, dict[str, Any]]:
    """Return the records that have a verdict by the digest of their image."""
    records: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record.get("verdict") is not None and record.get("image"):
                records[record["image"]] = record
    return records


def _verdict(
    part: dict[str, Any], present: dict[str, Any], candidate: dict[str, Any]
) -> TrialVerdict | None:
    ours, theirs = present.get(part["image"]), candidate.get(part["image"])
    if ours is None or theirs is None:
        return None
    return TrialVerdict(
        kind="compared",
        part_id=part["part"],
        verdict=theirs["verdict"],
        score=theirs["score"],
        present=ours["verdict"],
        present_score=ours["score"],
        created_at=now(),
    )


def _add_candidate(
    station: Station, product: Product, run: Path, verdicts: Sequence[TrialVerdict]
) -> Model:
    identity = run_id(read_manifest(run))
    with station.database.write() as session:
        stored = session.get_one(Product, product.id)
        if stored.model_id is None:
            raise FlawmapError(_LOST)
        model = Model(
            product_id=product.id,
            run=identity,
            folder=str(run),
            state="candidate",
            parent_id=stored.model_id,
            created_at=now(),
        )
        session.add(model)
        session.flush()
        for verdict in verdicts:
            verdict.model_id = model.id
        session.add_all(verdicts)
    return model
