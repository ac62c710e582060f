"""Handling of stop signals: treat them like Ctrl-C, and delay them during short blocks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stopping_signals() -> list[signal.Signals]:
    """Return the stop signals besides Ctrl-C: SIGTERM, and SIGHUP of a closing terminal.

    SIGHUP is omitted if it is ignored, as by nohup, or if the system lacks it.
    """
    signals = [signal.SIGTERM]
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signals.append(hangup)
    return signals


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let stop signals end the block like Ctrl-C, so that no temporary file is left behind."""
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
    """Delay the first stop signal until the end of a short block.

    A second one ends the block, which may be blocked by a pipe that nobody reads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, *stopping_signals())}
    before = {s: h for s, h in handlers.items() if h is not None and h is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, ask)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        signal.raise_signal(asked[0])
