"""Service that looks for new parts again and again, in a thread."""

from __future__ import annotations

import logging
import threading

_LOG = logging.getLogger("flawmap.station")
PAUSE = 1.0  # seconds between two looks


class Looking:
    """Base of services that call :meth:`step` as long as there is more, then after a pause."""

    name = "looking"

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self) -> bool:
        """Work on what is new; return whether there may be more at once."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin in a thread."""
        self._thread = threading.Thread(target=self._run, name=f"flawmap-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is under way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        failed = False
        while not self._stopping.is_set():
            try:
                more, failed = self.step(), False
            except Exception:  # such as a database that is being restored
                if not failed:
                    _LOG.exception("The service %s failed; it tries again", self.name)
                more, failed = False, True
            if not more:
                self._stopping.wait(PAUSE)
