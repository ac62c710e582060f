"""Which signals ask a program to stop, stopping at them as at Ctrl-C, and what they wait for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the first signal that asks to stop wait for the end of a short block.

    A second one ends the block, which may be held up by a pipe that nobody reads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    found = {s: signal.getsignal(s) for s in (signal.SIGINT, *stopping_signals())}
    before = {s: h for s, h in found.items() if h is not None and h is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, ask)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        signal.raise_signal(asked[0])
