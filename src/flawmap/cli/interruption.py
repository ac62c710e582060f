"""Report what was written when a command is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.errors import FlawmapError

if TYPE_CHECKING:
    from flawmap.cli.console.predictions import PredictionDisplay


@contextmanager
def stopping_well(
    display: PredictionDisplay, lines: Path | None, parquet: Path | None = None
) -> Iterator[None]:
    """Report what is in ``lines`` or ``parquet`` on Ctrl-C, a signal or a FlawmapError."""
    try:
        yield
    except (KeyboardInterrupt, FlawmapError):
        display.stopped(lines, parquet)
        raise
