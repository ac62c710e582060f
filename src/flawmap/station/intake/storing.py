"""Storing of judged parts: all that wait in one transaction, then their answers."""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from flawmap.inspection.decision import Inspection, Outcome, record_of
from flawmap.inspection.inspector import Inspector
from flawmap.station.database.tables import Part
from flawmap.station.intake.kind import suffix_of
from flawmap.station.intake.submission import Answer, BusyError
from flawmap.station.intake.versions import note
from flawmap.station.intake.worker import Judged
from flawmap.station.parts.write import NewPart, PartWriter

_LOG = logging.getLogger("flawmap.station")
_TOGETHER = 64  # parts in a transaction, at most
_LOOK = 0.1  # seconds between looks for images whose deadline has passed
_PATIENCE = 20.0  # seconds for which a database that does not answer is tried again
_PAUSE = 0.25
_Version = tuple[int, str, str]  # product, settings, model


class Storer(threading.Thread):
    """One thread that writes what workers judged, and what nobody judged in time."""

    def __init__(
        self,
        writer: PartWriter,
        expired: Callable[[], Sequence[Judged]],
        done: Callable[[Sequence[tuple[Judged, Answer | Exception]]], None],
    ) -> None:
        super().__init__(name="flawmap-store", daemon=True)
        self._writer, self._expired, self._done = writer, expired, done
        self._judged: queue.SimpleQueue[Sequence[Judged] | None] = queue.SimpleQueue()
        self._handling = threading.Lock()
        self._noted: set[_Version] = set()
        self._new: dict[_Version, Inspector] = {}
        writer.listeners.append(self._note)

    def put(self, judged: Sequence[Judged]) -> None:
        """Store these soon; thread-safe."""
        self._judged.put(judged)

    def close(self) -> None:
        """End the thread once all is stored."""
        self._judged.put(None)

    def run(self) -> None:
        """Store until closed."""
        while True:
            batch, closed = self._next()
            batch.extend(self._expired())
            if batch:
                self.handle(batch)
            if closed:
                return

    def handle(self, batch: Sequence[Judged]) -> None:
        """Store a batch and answer, in the calling thread; one batch at a time."""
        with self._handling:
            self._done(list(zip(batch, self.store(batch), strict=True)))

    def _next(self) -> tuple[list[Judged], bool]:
        """Return all that waits, at least after some time, and whether it was the last."""
        batch: list[Judged] = []
        timeout = _LOOK
        while len(batch) < _TOGETHER:
            try:
                more = self._judged.get(timeout=timeout)
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.extend(more)
            timeout = 0.0
        return batch, False

    def store(self, batch: Sequence[Judged]) -> list[Answer | Exception]:
        """Store a batch; return the answer of each, or why it has none.

        A part that the database refuses costs no other: they are then stored one by one.
        """
        parts = [new_part(one) for one in batch]
        self._new = {v: one.inspector for one in batch if (v := _version(one)) not in self._noted}
        until = time.monotonic() + _PATIENCE
        conflicts = 0
        while True:
            try:
                rows = self._writer.store(parts)
                break
            except (IntegrityError, DataError) as error:  # such as a key that is used, or too long
                if len(batch) > 1:
                    return [answer for one in batch for answer in self.store([one])]
                conflicts += 1
                if conflicts > 1:  # once may be a row that somebody changed at the same moment
                    return [error]
            except DBAPIError as error:
                if time.monotonic() > until:
                    _LOG.error("%d parts could not be stored: %s", len(batch), error)
                    return [BusyError(f"The database does not answer: {_first(error)}")] * len(
                        batch
                    )
                time.sleep(_PAUSE)
            except Exception as error:
                _LOG.exception("%d parts could not be stored", len(batch))
                return [error] * len(batch)
        self._noted.update(self._new)
        return [
            Answer(row, one.item.submission, one.outcome)
            for row, one in zip(rows, batch, strict=True)
        ]

    def _note(self, session: Session, rows: Sequence[Part]) -> None:
        """Give each version of settings that judges for the first time its row."""
        for (product_id, _, _), inspector in self._new.items():
            note(session, product_id, inspector)


def new_part(judged: Judged) -> NewPart:
    """Return what is stored of a judged image."""
    item, asked = judged.item, judged.item.submission
    taken = time.perf_counter() if item.taken is None else item.taken
    item.wait_for_file()
    return NewPart(
        product_id=item.product.id,
        outcome=_named(judged),
        data=asked.data,
        suffix=suffix_of(asked.data),
        received_at=asked.received_at,
        source=asked.source,
        key=asked.key,
        number=asked.number,
        line=asked.line,
        fields=asked.fields,
        waited_ms=_milliseconds(taken - asked.begun),
        total_ms=_milliseconds(time.perf_counter() - asked.begun),
    )


def _named(judged: Judged) -> Outcome:
    """Return the outcome whose record has the image's digest, and a watched file's version."""
    record, asked = record_of(judged.outcome), judged.item.submission
    update: dict[str, object] = {}
    if record.image is None and asked.problem is None:
        update["image"] = hashlib.sha256(asked.data).hexdigest()
    if asked.version is not None:
        update |= {"bytes": asked.version[0], "modified_ns": asked.version[1]}
    if not update:
        return judged.outcome
    named = record.model_copy(update=update)
    if isinstance(judged.outcome, Inspection):
        return replace(judged.outcome, record=named)
    return named


def _version(judged: Judged) -> _Version:
    record = record_of(judged.outcome)
    return judged.item.product.id, record.settings, record.model


def _milliseconds(seconds: float) -> float:
    return round(1000.0 * seconds, 3)


def _first(error: Exception) -> str:
    return (str(getattr(error, "orig", error)).strip().splitlines() or [""])[0][:200]
