"""Camera as a source of parts: an image at intervals, or one for each trigger."""

from __future__ import annotations

import logging
import queue
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from flawmap.station.database.engine import Database
from flawmap.station.database.tables import SourceSettings
from flawmap.station.intake.camera.capture import CameraError, Capture
from flawmap.station.intake.camera.where import Camera
from flawmap.station.intake.service import InspectionService
from flawmap.station.intake.submission import Answer, BusyError, Submission

FIRST, LONGEST = 0.5, 30.0  # seconds until a lost camera is opened again: doubled each time
_BUSY = 0.05  # seconds until a full queue is tried again with an image of a video file
_TRIGGERS = 16  # that may wait for an image
_LOG = logging.getLogger("flawmap.station")


@dataclass(frozen=True)
class Trigger:
    """A wish for the next image, and what is said of its part."""

    number: str | None = None
    line: str | None = None
    answer: Future[Answer] = field(default_factory=Future)


class CameraSource(threading.Thread):
    """A thread that reads one camera; `problem`: why it brings nothing; `dropped`: images lost."""

    def __init__(
        self, settings: SourceSettings, intake: InspectionService, _database: Database
    ) -> None:
        super().__init__(name=f"flawmap-camera-{settings.id}", daemon=True)
        self.camera = Camera.model_validate(settings.settings)
        self.shown = settings.name
        self._id, self._product, self._intake = settings.id, settings.product_id, intake
        self._stopping = threading.Event()
        self._triggers: queue.Queue[Trigger] = queue.Queue(_TRIGGERS)
        self.problem: str | None = None
        self.dropped = 0

    def stop(self) -> None:
        """Submit nothing more."""
        self._stopping.set()

    def trigger(self, trigger: Trigger) -> None:
        """Inspect the next image. Raises BusyError if too many triggers wait for one."""
        if self.problem is not None:
            raise BusyError(f"The camera brings no images: {self.problem}")
        try:
            self._triggers.put_nowait(trigger)
        except queue.Full:
            self.dropped += 1
            raise BusyError("Too many triggers wait for an image: trigger again later.") from None

    def run(self) -> None:
        """Read until stopped, or until a video file has ended."""
        pause = FIRST
        while not self._stopping.is_set():
            try:
                capture = Capture(self.camera)
            except CameraError as error:
                self._lose(str(error))
            except Exception as error:  # of OpenCV
                self._lose(f"{type(error).__name__}: {error}")
            else:
                pause = FIRST
                if self._read(capture):
                    break
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST)
        self._refuse("The camera was switched off.")

    def _read(self, capture: Capture) -> bool:
        """Submit images; return whether the source has ended, else the camera was lost."""
        try:
            if self.camera.is_file:
                return self._read_file(capture)
            self._read_live(capture)
        except CameraError as error:
            self._lose(str(error))
        except Exception as error:
            _LOG.exception("The camera %s failed", self.shown)
            self._lose(f"{type(error).__name__}: {error}")
        finally:
            capture.close()
        return self._stopping.is_set()

    def _read_live(self, capture: Capture) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            if not capture.skip():
                raise CameraError("It brings no more images; it is opened again.")
            self._found()
            if self.camera.take == "trigger":
                with suppress(queue.Empty):
                    self._answer(capture, self._triggers.get_nowait())
            elif time.monotonic() >= due:
                due = max(due + self.camera.interval, time.monotonic())
                try:
                    self._intake.submit(self._submission(capture.png()))
                except BusyError:
                    self._drop()

    def _read_file(self, capture: Capture) -> bool:
        """Inspect each image whose turn it is, once: its number in the file is the part's key."""
        step = max(1, round(self.camera.interval * capture.rate))
        index = -1
        while not self._stopping.is_set() and capture.skip():
            index += 1
            self._found()
            if self.camera.take == "trigger":
                self._answer(capture, self._next_trigger())
            elif index % step == 0:
                key = f"camera:{self._id}:{index}"
                self._submit_patiently(self._submission(capture.png(), key))
        if not self._stopping.is_set():
            self.problem = "The video file has ended."
            self._refuse(self.problem)
        return True

    def _next_trigger(self) -> Trigger | None:
        while not self._stopping.is_set():
            with suppress(queue.Empty):
                return self._triggers.get(timeout=_BUSY)
        return None

    def _submit_patiently(self, submission: Submission) -> None:
        while not self._stopping.is_set():
            try:
                self._intake.submit(submission)
                return
            except BusyError:
                self._stopping.wait(_BUSY)

    def _answer(self, capture: Capture, trigger: Trigger | None) -> None:
        """Inspect the present image for a trigger."""
        if trigger is None:
            return
        try:
            asked = self._submission(capture.png(), number=trigger.number, line=trigger.line)
            self._intake.submit(asked).add_done_callback(lambda done: _hand_on(done, trigger))
        except Exception as error:
            if isinstance(error, BusyError):
                self._drop()
            trigger.answer.set_exception(error)

    def _submission(
        self,
        data: bytes,
        key: str | None = None,
        number: str | None = None,
        line: str | None = None,
    ) -> Submission:
        return Submission(
            data=data,
            source=f"camera:{self.shown}",
            product=self._product,
            number=number,
            line=line or self.camera.line,
            key=key,
        )

    def _drop(self) -> None:
        if self.dropped == 0:
            _LOG.warning("The queue is full: the camera %s loses images", self.shown)
        self.dropped += 1

    def _found(self) -> None:
        if self.problem is not None:
            _LOG.warning("The camera %s brings images again", self.shown)
        self.problem = None

    def _lose(self, problem: str) -> None:
        if problem != self.problem:
            _LOG.warning("The camera %s brings no images: %s", self.shown, problem)
        self.problem = problem
        self._refuse(problem)

    def _refuse(self, reason: str) -> None:
        """Answer the triggers that wait for an image which does not come."""
        with suppress(queue.Empty):
            while True:
                self._triggers.get_nowait().answer.set_exception(BusyError(reason))


def _hand_on(done: Future[Answer], trigger: Trigger) -> None:
    error = done.exception()
    if error is not None:
        trigger.answer.set_exception(error)
    else:
        trigger.answer.set_result(done.result())
