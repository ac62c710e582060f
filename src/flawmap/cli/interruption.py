"""Ctrl-C and polite kills: what was written is said, and no file is left half written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.errors import FlawmapError

if TYPE_CHECKING:
    from flawmap.console import PredictionDisplay


@contextmanager
def stopping_well(display: PredictionDisplay, lines: Path | None) -> Iterator[None]:
    """Say how many lines are in the file ``lines`` where the block ends early, by whatever."""
    try:
        with stopped_by_signals():
            yield
    except (KeyboardInterrupt, FlawmapError):
        display.stopped(lines)
        raise


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that no temporary file stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
