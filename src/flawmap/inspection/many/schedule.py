"""Which worker inspects what: every image once and in order, whichever worker ends early."""

from __future__ import annotations

import itertools
import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flawmap.data.image_io.notes import Kind, note
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.many.crew import LOST, Crew, Message
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.printable import printable

_LOG = logging.getLogger("flawmap")
_HELD = 2  # chunks that a worker holds: it need not wait for the next
_WINDOW = 32  # chunks for each worker by which results may be ahead of the oldest unfinished image
_LIVES = 2  # workers that may end while they inspect one image alone
_LOSSES = 20  # workers that may end one after the other without any result between


@dataclass(eq=False)
class _Chunk:
    jobs: dict[int, Job]  # those without a result
    alone: bool = False  # one image, as a worker ended while it inspected this and others


@dataclass(eq=False)
class _Member:
    ready: bool = False
    chunks: deque[_Chunk] = field(default_factory=deque)  # the first one is being inspected


class Schedule:
    """Iterator over the records of ``jobs``, in their order, as a crew inspects them.

    ``size``: images per chunk. The images that a lost worker had begun are inspected again, one at
    a time; an image with which workers end again and again gets a record with an error. At most a
    number of chunks proportional to the workers is in memory. Raises FlawmapError if a worker
    cannot inspect anything, if workers keep ending, or if the run changes while it is in use.
    """

    def __init__(self, crew: Crew, jobs: Iterable[Job], size: int) -> None:
        self._crew, self._size = crew, size
        self._jobs = enumerate(jobs)
        self._again: deque[_Chunk] = deque()
        self._members: dict[int, _Member] = {}
        self._records: dict[int, InspectionRecord] = {}  # finished, and not yet yielded
        self._begun = self._given = 0  # images handed out, and yielded
        self._deaths: Counter[int] = Counter()
        self._losses = 0
        self._like: dict[str, Any] | None = None
        self._said: set[str] = set()
        self._more = True

    def __iter__(self) -> Iterator[InspectionRecord]:
        for _ in range(self._crew.size):
            self._members[self._crew.start()] = _Member()
        while True:
            self._hand_out()
            if not self._more and self._given == self._begun:
                return
            for message in self._crew.wait():
                self._receive(message)
            while (record := self._records.get(index := self._given)) is not None:
                yield record
                if self._given == index:
                    self.advance()

    def advance(self) -> None:
        """Forget the record yielded last, which is stored now; :meth:`rest` does not repeat it."""
        del self._records[self._given]
        self._given += 1

    def rest(self, messages: Iterable[Message]) -> Iterator[InspectionRecord]:
        """Yield the records that were finished when the work ended early, in order, with gaps.

        ``messages``: the last ones of the workers.
        """
        for number, kind, value in messages:
            member = self._members.get(number)
            if kind == "done" and member is not None:
                index, record = value
                self._records[index] = InspectionRecord.model_validate(record)
        while self._records:
            yield self._records.pop(min(self._records))

    def _hand_out(self) -> None:
        """Give each worker its next chunks, those without any first."""
        for held in range(_HELD):
            for number, member in self._members.items():
                if member.ready and len(member.chunks) == held:
                    chunk = self._next_chunk()
                    if chunk is None:
                        return
                    member.chunks.append(chunk)
                    self._crew.submit(number, list(chunk.jobs.items()))

    def _next_chunk(self) -> _Chunk | None:
        if self._again:
            return self._again.popleft()
        window = _WINDOW * self._size * self._crew.size
        if not self._more or self._begun - self._given >= window:
            return None
        jobs = dict(itertools.islice(self._jobs, self._size))
        self._begun += len(jobs)
        self._more = len(jobs) == self._size
        return _Chunk(jobs) if jobs else None

    def _receive(self, message: Message) -> None:
        number, kind, value = message
        member = self._members.get(number)
        if member is None:  # a late message of a worker that is lost
            return
        if kind == "done":
            self._finish(member, *value)
        elif kind == "end":
            member.chunks.popleft()
        elif kind == "ready":
            self._check_like(value)
            member.ready = True
        elif kind == LOST:
            self._lose(number, value)
        elif kind == "failed":
            text, wrong_call = value
            raise (UsageError if wrong_call else FlawmapError)(text)
        else:
            self._tell(kind, value)

    def _finish(self, member: _Member, index: int, record: dict[str, Any]) -> None:
        del member.chunks[0].jobs[index]
        self._records[index] = InspectionRecord.model_validate(record)
        self._losses = 0

    def _check_like(self, record: dict[str, Any]) -> None:
        """Raise FlawmapError unless all workers have the same model and settings."""
        if self._like is None:
            self._like = record
        elif record != self._like:
            raise FlawmapError(
                "The run folder changed while its images were inspected, by calibrate, regions or "
                "export. Start again."
            )

    def _lose(self, number: int, why: str) -> None:
        """Return a worker's unfinished images, and start another worker in its place."""
        member = self._members.pop(number)
        self._losses += 1
        if self._losses > _LOSSES or (self._like is None and self._losses > self._crew.size):
            raise FlawmapError(
                f"The workers end before they inspect anything ({why}): if memory is short, give "
                "fewer --workers."
            )
        self._log(logging.WARNING, f"A worker ended early ({why}): others inspect its images.")
        if member.chunks:
            self._suspect(member.chunks.popleft(), why)
        self._again.extendleft(reversed([chunk for chunk in member.chunks if chunk.jobs]))
        self._members[self._crew.start()] = _Member()

    def _suspect(self, chunk: _Chunk, why: str) -> None:
        """Queue the images during which a worker ended; give up one that ends every worker."""
        if chunk.alone:
            for index, job in chunk.jobs.items():
                self._deaths[index] += 1
                if self._deaths[index] >= _LIVES:
                    self._records[index] = self._given_up(job, why)
                    return
        singles = [_Chunk({index: job}, alone=True) for index, job in chunk.jobs.items()]
        self._again.extendleft(reversed(singles))

    def _given_up(self, job: Job, why: str) -> InspectionRecord:
        error = f"{printable(job.source)}: every process that inspects it ends ({why})"
        return InspectionRecord.model_validate(
            (self._like or {}) | {"path": job.source, "error": error}
        )

    def _tell(self, kind: str, value: Any) -> None:
        if kind == "note":
            name, *rest = value
            note(Kind(name), rest[0], highest=rest[1], white=rest[2])
        else:
            self._log(*value)

    def _log(self, level: int, text: str) -> None:
        """Log a text once: each worker warns of the same things."""
        if text not in self._said:
            self._said.add(text)
            _LOG.log(level, text)
