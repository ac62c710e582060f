"""Process of a job: a command of flawmap that is polite, and ends when the station does.

``python -m flawmap.station.improve.child train DATA --out RUN`` does what ``flawmap train`` does.
Its standard input is a pipe from the station, which closes however the station ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from contextlib import suppress

_NICE = 10


def main() -> None:
    """Run the command of the arguments."""
    with suppress(AttributeError, OSError):  # Windows has no niceness
        os.nice(_NICE)
    threading.Thread(target=_end_with_station, daemon=True).start()
    sys.argv[0] = "flawmap"
    runpy.run_module("flawmap", run_name="__main__", alter_sys=True)


def _end_with_station() -> None:
    """Stop like by a signal, so that a training keeps its newest state, once the pipe closes."""
    with suppress(OSError):
        while os.read(0, 4096):  # the descriptor itself: a reader's lock would delay the exit
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
