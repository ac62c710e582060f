"""Which signals ask a program to stop, and stopping at them as at Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def stopping_signals() -> list[signal.Signals]:
    """Polite kills beside Ctrl-C: SIGTERM, and SIGHUP of a terminal that closes.

    SIGHUP is left out where it is ignored, as by nohup, and where the system has none.
    """
    found = [signal.SIGTERM]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        found.append(hangup)
    return found


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let polite kills end the block as Ctrl-C does, so that no temporary file stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, signal.default_int_handler) for s in stopping_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
