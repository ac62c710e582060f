"""Run ``flawmap`` commands as processes, each on its share of the processor cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from flawmap.errors import FlawmapError

_FLAWMAP = [sys.executable, "-m", "flawmap"]


class KilledError(FlawmapError):
    """The process was ended by a signal, such as the system's when memory runs out."""


@dataclass
class Commands:
    """Commands that may run side by side; ``threads``: processor threads of each, None for all."""

    threads: int | None = None
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, words: Sequence[str]) -> int | None:
        """Run a command to its end; return its peak memory in MB, None if it is not known.

        Raises FlawmapError if it fails, KilledError if a signal ended it.
        """
        own = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        process = subprocess.Popen(
            [*_FLAWMAP, *words], stdout=subprocess.DEVNULL, env=os.environ | own
        )
        self._running.add(process)
        try:
            if self._stopped.is_set():
                process.terminate()
            peak = _wait(process)
        except BaseException:
            process.terminate()  # training then saves a checkpoint
            process.wait()
            raise
        finally:
            self._running.discard(process)
        if process.returncode < 0 and not self._stopped.is_set():
            raise KilledError(f"flawmap {words[0]} was ended by signal {-process.returncode}.")
        if process.returncode:
            raise FlawmapError(f"flawmap {words[0]} ended with status {process.returncode}.")
        return peak

    def stop(self) -> None:
        """End all commands, those of other threads too; trainings keep a checkpoint."""
        self._stopped.set()
        for process in list(self._running):
            process.terminate()


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
