"""InspectionService: from an image's bytes to a stored verdict, for all that brings images."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from sqlalchemy import select

from flawmap.data.image_io.images import ImageError
from flawmap.errors import FlawmapError
from flawmap.inspection.decision import Inspection, record_of
from flawmap.runtime.base import RuntimeOptions
from flawmap.station.config import StationConfig
from flawmap.station.database.tables import Part
from flawmap.station.events import Event
from flawmap.station.intake.capacity import Capacity, Reservation
from flawmap.station.intake.kind import suffix_of
from flawmap.station.intake.line import Line, Waiting
from flawmap.station.intake.pace import Pace, batch_of, workers_of
from flawmap.station.intake.products import LiveProduct, Products
from flawmap.station.intake.registration import register_runs
from flawmap.station.intake.storing import Storer
from flawmap.station.intake.submission import (
    Answer,
    DeadlineError,
    IncompleteError,
    KeyReusedError,
    Listener,
    Submission,
)
from flawmap.station.intake.worker import Judged, Worker, failed

if TYPE_CHECKING:
    from flawmap.station.context import Station

NAME = "intake"  # of the station's service
DEADLINE = "Not inspected within"
"""Start of the error of a record whose image waited too long."""
_LOG = logging.getLogger("flawmap.station")
_DECODERS = 2
_WRITERS = 4  # images being written to disk at once: each waits for the disk, not the processor


class InspectionService:
    """Accept images, inspect and store them, and answer; a bounded number at any time.

    `products` says who inspects; `on_judged` are called with parts after they were stored. `named`:
    ids of products whose live models are runs that the station was started with.
    """

    def __init__(self, station: Station, named: Collection[int] = ()) -> None:
        config, self._named = station.config, named
        self._config, self._database, self._events = config, station.database, station.events
        self._files = station.files
        self.products = Products(station.database, runtime_of(config), _LOG.warning)
        self.on_judged: list[Listener] = []
        self.capacity = Capacity(config.queue_items, config.queue_megabytes * 2**20)
        self._storer = Storer(station.writer, self._expired, self._done)
        self._decoders = ThreadPoolExecutor(_DECODERS, "flawmap-decode")
        self._writers = ThreadPoolExecutor(_WRITERS, "flawmap-write")
        self._key_reader = ThreadPoolExecutor(1, "flawmap-keys")  # one: it keeps the order
        self._lines: dict[int, Line] = {}
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._keys: dict[str, Waiting] = {}

    @property
    def waiting(self) -> int:
        """Number of images that were accepted and not answered yet."""
        return self.capacity.items

    @property
    def most_bytes(self) -> int:
        """Size of the largest image that is accepted."""
        return self._config.upload_megabytes * 2**20

    def start(self) -> None:
        """Load the inspectors of all products, and begin.

        Raises FlawmapError if a run that the station was started with cannot be loaded.
        """
        self._storer.start()
        self.reload()
        for product in self.products:
            if product.problem is not None and product.id in self._named:
                raise FlawmapError(product.problem)

    def stop(self) -> None:
        """Accept nothing more; return when all that was accepted is answered."""
        self.capacity.close()
        self.capacity.wait_until_empty()
        for line in self._lines.values():
            line.close()
        for worker in self._workers:
            worker.join()
        self._storer.close()
        if self._storer.is_alive():  # not if it was stopped while it started
            self._storer.join()
        self._decoders.shutdown()
        self._writers.shutdown()
        self._key_reader.shutdown()

    def reload(self) -> None:
        """Take over products and models as the database has them now; no image is lost.

        Returns when new models are loaded, which takes a second or so.
        """
        self.products.reload()
        for product in self.products:
            self._line_of(product)
        self._events.publish(Event("products"))

    def _line_of(self, product: LiveProduct) -> Line:
        """Return the product's line, which begins with the first call."""
        with self._lock:
            if product.id not in self._lines:
                self._lines[product.id] = self._new_line(product)
            return self._lines[product.id]

    def _new_line(self, product: LiveProduct) -> Line:
        """Begin to inspect a product's images."""
        count = workers_of(self._config)
        line = Line(product, self._decoders, batch_of(self._config), count)
        pace = Pace(product, narrows=count > 1 and self._config.threads is None)
        for _ in range(count):
            worker = Worker(line, pace, self._hand_on)
            worker.start()
            self._workers.append(worker)
        return line

    def receive(self, bytes: int = 0) -> Reservation:
        """Reserve memory for a body that is about to be read. Raises BusyError at once if full."""
        return Reservation(self.capacity, bytes)

    def submit(self, submission: Submission) -> Future[Answer]:
        """Accept an image; the future gives its answer once that is stored.

        Raises UnknownProductError, KeyReusedError or BusyError, at once, if it is not accepted.
        """
        return self.submit_all([submission])[0]

    def submit_all(self, submissions: Sequence[Submission]) -> list[Future[Answer]]:
        """Accept all of these images or none; see :meth:`submit`."""
        products = [self.products.of(one) for one in submissions]
        for product in products:
            _ = product.inspector  # raises if there is none
        self.capacity.take(len(submissions), sum(len(one.data) for one in submissions))
        return [
            self._accept(one, product) for one, product in zip(submissions, products, strict=True)
        ]

    def _accept(self, submission: Submission, product: LiveProduct) -> Future[Answer]:
        seconds = min(submission.deadline or self._config.deadline, self._config.deadline)
        item = Waiting(submission, product, time.monotonic() + seconds)
        if submission.key is None:
            self._enter(item)
            return item.answer
        with self._lock:
            first = self._keys.setdefault(submission.key, item)
        if first is item:
            self._key_reader.submit(self._look_up, item)
        else:
            first.answer.add_done_callback(lambda future: self._repeat(item, future))
        return item.answer

    def _enter(self, item: Waiting) -> None:
        """Begin to write the image to disk, and let it wait for its inspector."""
        submission = item.submission
        if submission.complete and (suffix := suffix_of(submission.data)):
            item.file = self._writers.submit(self._keep, submission.data, suffix)
        self._line_of(item.product).put(item)

    def _keep(self, data: bytes, suffix: str) -> None:
        self._files.put_image(hashlib.sha256(data).hexdigest(), suffix, data)

    def _look_up(self, item: Waiting) -> None:
        """Answer with the part that has this key already, or inspect the image."""
        try:
            with self._database.read() as session:
                stored = session.scalar(select(Part).where(Part.key == item.submission.key))
        except Exception as error:
            self._finish(item, error)
            return
        if stored is None:
            self._enter(item)
        else:
            self._finish(item, _repeated(item.submission, stored))

    def _repeat(self, item: Waiting, first: Future[Answer]) -> None:
        """Answer a request that came while another one with its key was in work."""
        error = first.exception()
        answer = _repeated(item.submission, first.result().part) if error is None else error
        self._finish(item, cast(Answer | Exception, answer))

    def _hand_on(self, judged: Sequence[Judged]) -> None:
        """Store what was judged, except files that were not complete yet.

        Maps are written here, by the workers side by side. An image that is alone is stored here,
        too: another thread would have to wake up first.
        """
        partial = [one for one in judged if _is_partial(one)]
        for one in partial:
            self._finish(one.item, IncompleteError(str(one.cause)))
        whole = [one for one in judged if one not in partial]
        for one in whole:
            self._keep_map(one)
        if whole and self.capacity.items == len(whole):
            self._storer.handle(whole)
        elif whole:
            self._storer.put(whole)

    def _keep_map(self, judged: Judged) -> None:
        """Write a map to disk; if that fails, the writer of parts tries again and says why."""
        record = record_of(judged.outcome)
        if isinstance(judged.outcome, Inspection) and record.image is not None:
            with suppress(FlawmapError):
                self._files.put_map(record.image, record.model, judged.outcome.raw_map)

    def _expired(self) -> list[Judged]:
        late = [item for line in list(self._lines.values()) for item in line.expired()]
        return [self._given_up(item) for item in late]

    def _given_up(self, item: Waiting) -> Judged:
        seconds = time.perf_counter() - item.submission.begun
        error = DeadlineError(f"{DEADLINE} {seconds:.1f} s: too many images were waiting.")
        return failed(item, item.product.inspector, error)

    def _done(self, done: Sequence[tuple[Judged, Answer | Exception]]) -> None:
        """Answer, then tell everyone else."""
        for one, answer in done:
            self._finish(one.item, answer)
        stored = [answer for _, answer in done if isinstance(answer, Answer)]
        for listener in self.on_judged:
            try:
                listener(stored)
            except Exception:
                _LOG.exception("A listener of judged parts failed")
        for answer in stored:
            self._events.publish(Event("part", _event_values(answer.part)))

    def _finish(self, item: Waiting, answer: Answer | Exception) -> None:
        key = item.submission.key
        if key is not None:
            with self._lock:
                if self._keys.get(key) is item:
                    del self._keys[key]
        if isinstance(answer, Exception):
            item.answer.set_exception(answer)
        else:
            item.answer.set_result(answer)
        self.capacity.give_back(1, len(item.submission.data))


def create_service(station: Station) -> InspectionService:
    """Create the service of a station, after registering the runs that its configuration names.

    Raises FlawmapError if one of these cannot be read.
    """
    named = register_runs(station.database, station.config.runs, _LOG.warning)
    return InspectionService(station, named)


def intake_of(station: Station) -> InspectionService:
    """Return the station's inspection service."""
    return cast(InspectionService, station.services[NAME])


def runtime_of(config: StationConfig) -> RuntimeOptions:
    """Return the runtime options of a station's inspectors."""
    return {
        "backend": config.backend,
        "precision": config.precision,
        "device": config.device,
        "threads": config.threads,
    }


def _is_partial(judged: Judged) -> bool:
    return not judged.item.submission.complete and isinstance(judged.cause, ImageError)


def _repeated(submission: Submission, part: Part) -> Answer | Exception:
    """Return the answer of a part that has the submission's key, if it is of the same image."""
    if part.image is not None and part.image != hashlib.sha256(submission.data).hexdigest():
        return KeyReusedError(
            f"The key {submission.key} belongs to another image, of part {part.id}: "
            "give each image a key of its own."
        )
    return Answer(part, submission)


def _event_values(part: Part) -> dict[str, object]:
    return {
        "id": part.id,
        "product_id": part.product_id,
        "number": part.number,
        "verdict": part.verdict,
        "score": part.score,
        "received_at": part.received_at,
    }
