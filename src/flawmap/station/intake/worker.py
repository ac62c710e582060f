"""Worker: a thread that judges images of one product, those that wait in one batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flawmap.data.image_io.images import ImageError
from flawmap.inspection.decision import Outcome
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import Decoded, Failed, infer_each, message_of
from flawmap.station.intake.line import Line, Waiting
from flawmap.station.intake.pace import Pace
from flawmap.station.intake.submission import DeadlineError

FAILURE = "The inspection failed:"
"""Start of the error of a record whose image was not at fault."""
_LOG = logging.getLogger("flawmap.station")


@dataclass(frozen=True, eq=False)
class Judged:
    """An image with its outcome, and the inspector that judged it."""

    item: Waiting
    outcome: Outcome
    inspector: Inspector
    cause: Exception | None = None
    """Why it could not be inspected."""


class Worker(threading.Thread):
    """Take images from a line, inspect them, and hand the results on; the line's end ends it."""

    def __init__(self, line: Line, pace: Pace, hand_on: Callable[[Sequence[Judged]], None]) -> None:
        super().__init__(name=f"flawmap-inspect-{line.product.id}", daemon=True)
        self._line, self._pace, self._hand_on = line, pace, hand_on

    def run(self) -> None:
        """Inspect until the line is closed and empty."""
        while batch := self._line.take():
            try:
                with self._pace.turn() as inspector:
                    judged = judge(inspector, batch)
            except Exception as error:  # such as out of memory: costs this batch, not the thread
                _LOG.exception("A batch of %d images could not be inspected", len(batch))
                judged = [failed(item, self._line.product.inspector, error) for item in batch]
            self._hand_on(judged)


def judge(inspector: Inspector, batch: Sequence[Waiting]) -> list[Judged]:
    """Inspect a batch; an image that cannot be inspected affects no other."""
    for item in batch:
        item.taken = time.perf_counter()
    decoded = [item.decoded(inspector) for item in batch]
    images = [one.padded for one in decoded if isinstance(one, Decoded)]
    begun = time.perf_counter()
    predictions = iter(infer_each(inspector, images, len(batch)))
    share = (time.perf_counter() - begun) / max(1, len(images))
    judged = []
    for item, one in zip(batch, decoded, strict=True):
        if isinstance(one, Failed):
            judged.append(failed(item, inspector, one.error, one.sha256))
        elif isinstance(prediction := next(predictions), Exception):
            judged.append(failed(item, inspector, prediction, one.info.sha256))
        else:
            start = time.perf_counter() - share - one.seconds
            try:
                outcome = inspector.post_process(prediction, one.info, start)
            except ImageError as error:
                judged.append(failed(item, inspector, error, one.info.sha256))
            else:
                judged.append(Judged(item, outcome, inspector))
    return judged


def failed(
    item: Waiting, inspector: Inspector, error: Exception, sha256: str | None = None
) -> Judged:
    """Return the record of an image that could not be inspected."""
    path = item.submission.path
    record = inspector.failed(path or "", sha256, _reason(path or "the image data", error))
    if path is None:
        record = record.model_copy(update={"path": None})
    return Judged(item, record, inspector, error)


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, DeadlineError):
        return str(error)
    reason = message_of(name, error)
    return reason if isinstance(error, ImageError) else f"{FAILURE} {reason}"
