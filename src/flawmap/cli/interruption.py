"""Ctrl-C and polite kills: what was written is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.errors import FlawmapError

if TYPE_CHECKING:
    from flawmap.cli.console import PredictionDisplay


@contextmanager
def stopping_well(display: PredictionDisplay, lines: Path | None) -> Iterator[None]:
    """Say how many lines are in the file ``lines`` where the block ends early, by whatever."""
    try:
        yield
    except (KeyboardInterrupt, FlawmapError):
        display.stopped(lines)
        raise
