"""Tables without lines, wrapped to the width of the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tabulate import tabulate

from flawmap.cli.console.terminal import say, width

_GAP = 2  # columns between two columns of a table
_NARROWEST = 16  # columns of a wrapped cell, however narrow the terminal is


def print_table(rows: Sequence[Sequence[str]], *, wrap: bool, right: int | None = None) -> None:
    """Print rows of equal length as a table; nothing is cut off.

    ``wrap``: wrap the last column to the terminal. ``right``: right-align columns from this one.
    """
    columns = len(rows[0])
    right = columns if right is None else right
    text = tabulate(
        rows,
        tablefmt="plain",
        disable_numparse=True,
        colalign=["left"] * right + ["right"] * (columns - right),
        maxcolwidths=[None] * (columns - 1) + [_room(rows) if wrap else None],
        break_on_hyphens=False,  # of paths
    )
    for line in text.splitlines():
        say(line.rstrip())


def _room(rows: Sequence[Sequence[str]]) -> int:
    """Return the columns that the terminal has left for the last column of a table."""
    others = zip(*(row[:-1] for row in rows), strict=True)
    taken = sum(max(map(len, cells)) + _GAP for cells in others)
    return max(_NARROWEST, width(sys.stdout) - taken)
