"""Submission of an image for inspection, its answer, and the reasons to refuse it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flawmap.errors import FlawmapError
from flawmap.inspection.decision import Outcome
from flawmap.inspection.record import InspectionRecord
from flawmap.station.database.tables import Part
from flawmap.station.database.tables.base import now


@dataclass(frozen=True, eq=False)
class Submission:
    """An image's file as received, and what its sender says of the part.

    `product`: a product's name or id; none: chosen by the rule that `number` matches. `key`: the
    sender's name of this request, at most 100 characters, so that a request that is sent again is
    not inspected again. `deadline`: seconds until it is given up, at most the station's.
    `version`: size and modification time of a watched file. `complete`: False for a file that may
    still be written: if it cannot be decoded, it is no part. `problem`: why a file could not
    even be read.
    """

    data: bytes = field(repr=False)
    source: str = "http"
    product: str | int | None = None
    number: str | None = None
    line: str | None = None
    key: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    deadline: float | None = None
    version: tuple[int, int] | None = None
    complete: bool = True
    problem: Exception | None = None
    received_at: int = field(default_factory=now)
    begun: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, eq=False)
class Answer:
    """The stored row of a part, and its outcome with the arrays behind it.

    `outcome` is none if the part had been inspected before, under the same key.
    """

    part: Part
    submission: Submission
    outcome: Outcome | None = None

    @property
    def record(self) -> InspectionRecord:
        """The part's record, as stored."""
        return InspectionRecord.model_validate(self.part.record)


Listener = Callable[[Sequence[Answer]], None]
"""Called with parts that were just inspected and stored; it must return soon."""


class RefusedError(FlawmapError):
    """An image that is not accepted, and of which nothing is stored."""


class BusyError(RefusedError):
    """The queue is full, or the station stops: send it again after `seconds`."""

    def __init__(self, message: str, seconds: int = 1) -> None:
        super().__init__(message)
        self.seconds = seconds


class UnknownProductError(RefusedError):
    """No product was named or matches, or the product has no inspector."""


class KeyReusedError(RefusedError):
    """The key belongs to another image."""


class DeadlineError(FlawmapError):
    """An accepted image whose turn did not come in time; a record says so."""


class IncompleteError(RefusedError):
    """A file that may still be written cannot be decoded yet."""
