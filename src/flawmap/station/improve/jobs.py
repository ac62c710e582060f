"""Jobs in the database: trainings that wait, run, or have ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Job, Product
from flawmap.station.database.tables.base import now
from flawmap.station.improve.data.plan import Plan, make_plan
from flawmap.station.improve.data.way import Way, choose_way
from flawmap.station.improve.images import learning_folder
from flawmap.station.improve.products import get_product
from flawmap.station.improve.training import INSTALL, LEAST_GOOD, Options, can_train
from flawmap.station.refusals import RefusedError
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller

BEGIN, IMPROVE = "begin", "improve"
"""Kinds: a first inspector, which goes live, and a candidate for the place of another."""
OPEN = ("waiting", "running")
_INTERRUPTED = "The station was stopped: the training goes on from its newest checkpoint."


def add_job(station: Station, caller: Caller | None, product_id: int, options: Options) -> Job:
    """Let a training wait for its turn. Raises RefusedError if it could not succeed."""
    if not can_train():
        raise RefusedError(f"Training needs more packages on the station: {INSTALL}", 409)
    with station.database.write() as session:
        product = get_product(session, product_id)
        _check(session, product, options, station.config.precision)
        kind = BEGIN if product.model_id is None else IMPROVE
        job = Job(
            product_id=product_id,
            kind=kind,
            state="waiting",
            settings=options.model_dump(),
            folder="",
            user_id=None if caller is None else caller.user_id,
            created_at=now(),
        )
        session.add(job)
        session.flush()
        job.folder = str(job_folder(station.config, job.id))
        audit.record(session, caller, "training.start", product.name, job=job.id, kind=kind)
    return job


def job_folder(config: StationConfig, job_id: int) -> Path:
    """Return the folder of a job's data set, run and output."""
    return learning_folder(config) / "jobs" / str(job_id)


def _check(session: Session, product: Product, options: Options, precision: str) -> None:
    if product.retired_at is not None:
        raise RefusedError("The product is retired: bring it back first.", 409)
    if open_job(session, product.id) is not None:
        raise RefusedError("A training of this product waits or runs already.", 409)
    if options.folds and precision != "float32":
        raise RefusedError(
            f"This station inspects in {precision}, for which good images must be kept out of the "
            "training to set thresholds: train without folds.",
            409,
        )
    plan = make_plan(session, product)
    if problem := too_few(plan, choose_way(plan, options)):
        raise RefusedError(problem, 409)


def too_few(plan: Plan, way: Way) -> str | None:
    """Return a message if a plan has too few images for a training anew."""
    if way.kind == "refine" or plan.good_count >= LEAST_GOOD:
        return None
    why = f"It has to be trained anew: {way.why} " if plan.run is not None else ""
    return (
        f"{why}There are {plan.good_count} images of good parts to learn from: at least "
        f"{LEAST_GOOD} are needed, and 50 or more are better."
    )


def open_job(session: Session, product_id: int) -> Job | None:
    """Return the product's job that waits or runs, if there is one."""
    own = select(Job).where(Job.product_id == product_id, Job.state.in_(OPEN))
    return session.scalar(own.order_by(Job.id).limit(1))


def jobs_of(session: Session, product_id: int, most: int = 20) -> Sequence[Job]:
    """Return a product's last jobs, the newest first."""
    own = select(Job).where(Job.product_id == product_id)
    return session.scalars(own.order_by(Job.id.desc()).limit(most)).all()


def get_job(session: Session, job_id: int) -> Job:
    """Return a job. Raises RefusedError."""
    job = session.get(Job, job_id) if 0 < job_id < 2**63 else None
    if job is None:
        raise RefusedError("There is no such training: load the page again.", 404)
    return job


def next_job(session: Session) -> Job | None:
    """Return the job that has waited longest."""
    return session.scalar(select(Job).where(Job.state == "waiting").order_by(Job.id).limit(1))


def ahead_of(session: Session, job: Job) -> int:
    """Return how many jobs come before one that waits."""
    return len(session.scalars(select(Job.id).where(Job.state.in_(OPEN), Job.id < job.id)).all())


def requeue_interrupted(session: Session) -> None:
    """Let jobs wait again that ran when the station ended."""
    waiting = {"state": "waiting", "process": None, "message": _INTERRUPTED}
    session.execute(update(Job).where(Job.state == "running").values(**waiting))
