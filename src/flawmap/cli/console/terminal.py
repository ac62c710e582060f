"""Printing to the two streams, and what their terminal can show."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click

_WIDTH = 80  # columns, where no terminal says how many it has


def say(text: str, *, err: bool = False) -> None:
    """Print a line to standard output, or with ``err`` to standard error.

    click would write UTF-8 to a stream of ASCII; the streams escape what they cannot encode.
    """
    click.echo(text, file=sys.stderr if err else sys.stdout)


def is_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that obeys control sequences."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def shows_colours(stream: TextIO) -> bool:
    """Whether to colour what goes to ``stream``: a terminal, without https://no-color.org."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width(stream: TextIO) -> int:
    """Return the columns of ``stream``: COLUMNS if set, those of its terminal, or 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):  # not a terminal, or no file at all
        return _WIDTH
