"""Trainings: one at a time, each a process of its own that yields to inspection."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import update

from flawmap.errors import FlawmapError
from flawmap.station.context import Station
from flawmap.station.database.tables import Job
from flawmap.station.database.tables.base import now
from flawmap.station.events import Event
from flawmap.station.improve import jobs
from flawmap.station.improve.progress import last_error
from flawmap.station.improve.training import OUTPUT, Options, environment
from flawmap.station.improve.work import work
from flawmap.station.refusals import RefusedError
from flawmap.station.security import audit
from flawmap.utils.files import make_folder

if TYPE_CHECKING:
    from flawmap.station.security.callers import Caller

NAME = "improve"
_PATIENCE = 20.0  # seconds in which a stopped process ends by itself
_LOOK = 10.0  # seconds between looks for a job that another process added
_STOPPED = "Stopped by {}: it can go on from its newest checkpoint."
_LOG = logging.getLogger("flawmap.station")


class _EndedError(Exception):
    """The job's process was asked to end."""


class Trainings:
    """The queue of trainings, worked off by one thread."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._thread = threading.Thread(target=self._run, name="flawmap-train", daemon=True)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._job: int | None = None
        self._asked: str | None = None  # who asked for the end of the job in work

    def start(self) -> None:
        """Go on with what waits or was interrupted."""
        with self._station.database.write() as session:
            jobs.requeue_interrupted(session)
        self._thread.start()

    def stop(self) -> None:
        """End the process in work, whose job goes on when the station starts again."""
        self._stopping.set()
        self._wake.set()
        self._end_process()
        self._thread.join()

    def begin(self, caller: Caller | None, product_id: int, options: Options) -> Job:
        """Let a training wait for its turn. Raises RefusedError."""
        job = jobs.add_job(self._station, caller, product_id, options)
        self._wake.set()
        return job

    def halt(self, caller: Caller, job_id: int) -> Job:
        """Stop a training that waits or runs. Raises RefusedError."""
        with self._station.database.write() as session:
            job = jobs.get_job(session, job_id)
            if job.state not in jobs.OPEN:
                raise RefusedError("This training has ended already.", 409)
            audit.record(session, caller, "training.stop", job.id)
            if job.state == "waiting":
                job.state, job.message = "stopped", _STOPPED.format(caller.name)
                job.ended_at = now()
        with self._lock:
            is_mine = self._job == job_id
            self._asked = caller.name if is_mine else self._asked
        if is_mine:
            self._end_process()
        return job

    def resume(self, caller: Caller, job_id: int) -> Job:
        """Let a training wait again that was stopped or failed. Raises RefusedError."""
        with self._station.database.write() as session:
            job = jobs.get_job(session, job_id)
            if job.state not in ("stopped", "failed"):
                raise RefusedError("This training was not stopped.", 409)
            if jobs.open_job(session, job.product_id) is not None:
                raise RefusedError("Another training of this product waits or runs.", 409)
            job.state, job.message, job.ended_at = "waiting", None, None
            audit.record(session, caller, "training.resume", job.id)
        self._wake.set()
        return job

    def run_process(self, job: Job, command: Sequence[str], doing: str) -> None:
        """Run a process of a job to its end; what it says goes to the job's output.

        `doing` says what it does, and is the job's message meanwhile.

        Raises FlawmapError with its last words if it fails.
        """
        folder = Path(job.folder)
        with (folder / OUTPUT).open("ab") as output:
            with self._lock:
                if self._asked is not None or self._stopping.is_set():
                    raise _EndedError
                process = self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment(),
                )
            self._update(job, process=process.pid, message=doing)
            code = process.wait()
            with suppress(OSError):
                cast(Any, process.stdin).close()
        with self._lock:
            self._process = None
            ended = self._asked is not None or self._stopping.is_set()
        if code and ended:
            raise _EndedError
        if code:
            raise FlawmapError(f"It failed: {last_error(folder)}")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                with self._station.database.read() as session:
                    job = jobs.next_job(session)
                if job is not None:
                    self._work(job)
                    continue
            except Exception:  # such as a database that does not answer
                _LOG.exception("Trainings cannot be worked off now")
            self._wake.wait(_LOOK)

    def _work(self, job: Job) -> None:
        with self._lock:
            self._job, self._asked = job.id, None
        make_folder(Path(job.folder))
        first = job.started_at or now()
        self._update(job, state="running", message=None, started_at=first)
        try:
            message = work(self._station, job, self.run_process)
            self._update(job, state="done", message=message, ended_at=now(), process=None)
        except _EndedError:
            self._note_end(job)
        except Exception as error:
            if not isinstance(error, FlawmapError):
                _LOG.exception("The training %d failed", job.id)
            message = " ".join(str(error).split()) or type(error).__name__
            self._update(job, state="failed", message=message, ended_at=now(), process=None)
        finally:
            with self._lock:
                self._job = self._process = None
            self._station.events.publish(Event("products"))

    def _note_end(self, job: Job) -> None:
        if self._asked is not None:
            why = _STOPPED.format(self._asked)
            self._update(job, state="stopped", message=why, ended_at=now(), process=None)
        else:
            with self._station.database.write() as session:
                jobs.requeue_interrupted(session)

    def _update(self, job: Job, **values: Any) -> None:
        with self._station.database.write() as session:
            session.execute(update(Job).where(Job.id == job.id).values(**values))

    def _end_process(self) -> None:
        """Ask the process to end, and make it after a while."""
        with self._lock:
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def create_service(station: Station) -> Trainings:
    """Return the service of a station."""
    return Trainings(station)


def trainings_of(station: Station) -> Trainings:
    """Return the station's trainings."""
    return cast(Trainings, station.services[NAME])
