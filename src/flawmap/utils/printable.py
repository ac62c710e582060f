"""Escaping of untrusted text, such as file names, to one printable line."""

from __future__ import annotations

import os


def printable(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one line of text, whatever characters its name has.

    >>> printable("a\nb.png")
    'a\\nb.png'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(path))
