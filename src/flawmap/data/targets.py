"""Checks of output paths: results never overwrite an image, an input or other user files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from flawmap.data.image_io.images import is_image_name
from flawmap.errors import UsageError
from flawmap.utils.files import check_writable

LINES = "path"
"""A key of every JSON line of ``predict``."""
REPORT = "<title>Inspection report"
"""Text with which the HTML report begins."""
_BESIDE = {
    LINES: {"run", "precision", "backend"},
    "image_auroc": {"pixel_auroc", "iap", "notes"},
    "statement": {"reject", "review", "oddest"},
    "p50_ms": {"p90_ms", "images_per_s"},
    "compared": {"products", "mean", "verdict"},
}
"""Further keys that must be present: other programs' results have a path or an AUROC, too."""
_READ_BYTES = 2**24  # read from an existing file to recognise its kind

_Target = str | os.PathLike[str] | None


def check_target(
    target: _Target, holds: str, *, inputs: Iterable[_Target] = (), streamed: bool = False
) -> None:
    """Refuse a result path whose file must not be replaced; None and ``-`` are always accepted.

    An existing file is replaced only if it is empty or holds results of the same kind: ``holds`` is
    a key of the JSON object, or :data:`REPORT`. ``streamed``: the file is written line by line, so
    a pipe is allowed. Raises UsageError for an image (by name or content), a folder, one of
    ``inputs``, and any other file; FlawmapError if the path is not writable.
    """
    if target is None or str(target) == "-":
        return
    path = Path(target)
    if is_image_name(path):
        raise UsageError(
            f"{path} is named like an image, so no results are written there. Name a file such as "
            f"{'report.html' if holds == REPORT else 'results.json'}; a pattern such as *.png "
            "must not follow the option."
        )
    if any(_is_same(path, Path(one)) for one in inputs if one is not None):
        raise UsageError(f"{path} is named twice: give another file for the results.")
    try:
        status = path.stat()
    except (OSError, ValueError):  # does not exist yet, or writing will report why
        check_writable(path)
        return
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path} is a folder: give a file for the results.")
    if not stat.S_ISREG(status.st_mode):
        if streamed:
            return
        raise UsageError(f"{path} is not a regular file: give another one for the results.")
    if status.st_size and not _is_ours(path, holds, streamed):
        raise UsageError(
            f"{path} exists and does not hold such results, so it is not replaced. Give another "
            "name, or remove the file."
        )
    check_writable(path)


def check_folder(target: _Target) -> None:
    """Raise UsageError if a folder for results is a file."""
    if target is not None and Path(target).exists() and not Path(target).is_dir():
        raise UsageError(f"{target} is a file: give a folder as --out.")


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.absolute() == other.absolute() or path.samefile(other)
    except (OSError, ValueError):
        return False


def _is_ours(path: Path, holds: str, lines: bool) -> bool:
    try:
        with path.open("rb") as file:
            start = file.readline(_READ_BYTES) if lines else file.read(_READ_BYTES)
        if holds == REPORT:
            return REPORT.encode() in start[:4096]
        value = json.loads(start)
        wanted = {holds} | _BESIDE.get(holds, set())
        return isinstance(value, dict) and wanted <= value.keys()
    except (OSError, ValueError, RecursionError):
        return False
