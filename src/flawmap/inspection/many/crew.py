"""Common interface of the workers that a schedule hands images to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from flawmap.inspection.many.jobs import Job

LOST = "lost"
"""Kind of the last message of a worker that ended before its work did; its value says why."""
Message = tuple[int, str, Any]
"""Number of a worker, and kind and value of a message; see :data:`.worker.Send`."""


class Crew(ABC):
    """Workers on one machine or several. Leaving the block ends all of them."""

    size: int
    """How many workers there should be."""

    @abstractmethod
    def start(self) -> int:
        """Start a worker, which sends ``ready`` once it has loaded the model; return its number."""

    @abstractmethod
    def submit(self, worker: int, chunk: Sequence[tuple[int, Job]]) -> None:
        """Give a worker a chunk, which it inspects after those that it has."""

    @abstractmethod
    def wait(self) -> list[Message]:
        """Return the next messages, in the order of each worker; none after some second(s)."""

    @abstractmethod
    def close(self, *, finished: bool) -> list[Message]:
        """End all workers, at once unless everything is finished; return their last messages."""

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.close(finished=kind is None)
