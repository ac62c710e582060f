"""Check where a run may be written: never over or among files that flawmap did not write."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import CHECKPOINTS, MANIFEST, SETTINGS
from flawmap.training.steps.checkpoint import remove_checkpoints
from flawmap.utils.files import OURS, exists, foreign, sweep

WORK = f"{OURS}work"
"""Folder in a run for temporary data, deleted at the end: decoded images and fold models."""
FOLDS = f"{WORK}/folds"
"""Folder of the fold models, which calibrate the run; deleted at the end."""
_SHOWN = 3


def check_free(folder: Path, *, resume: bool) -> None:
    """Raise UsageError unless ``folder`` is new, empty, or with ``resume`` a flawmap run."""
    if not exists(folder):
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder as --out.")
    if holds_run(folder):
        if not resume:
            raise UsageError(f"{folder} holds a run already: give --resume, or another --out.")
        return
    if others := foreign(folder):
        shown = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
        raise UsageError(
            f"{folder} is not empty and not a flawmap run (it holds {shown}): give a new folder as "
            f"--out, such as {folder / 'run'}."
        )


def holds_run(folder: Path) -> bool:
    """Whether ``folder`` holds a flawmap run, complete, unfinished or damaged."""
    if any(_is_ours(folder / name) for name in (MANIFEST, SETTINGS)):
        return True
    folds = folder / FOLDS
    return folds.is_dir() and any(holds_run(place) for place in folds.iterdir())


def _is_ours(path: Path) -> bool:
    """Whether a manifest or settings file is flawmap's, not another program's."""
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(content, dict) and {"method", "preset"} <= content.keys()


def check_apart(folder: Path, root: Path, images: Iterable[Path]) -> None:
    """Raise UsageError if the run would be the data folder, above it, or among its images.

    A folder beside those with images (``parts/run`` beside ``parts/good``) is fine.
    """
    out, data = folder.resolve(), root.resolve()
    if out == data:
        raise UsageError(f"{folder} is the data folder: give another folder as --out.")
    if out in data.parents:
        raise UsageError(f"The data are inside {folder}: give a folder outside them as --out.")
    if data in out.parents:
        first = out.relative_to(data).parts[0]
        tops = {_top(image, root) for image in images}
        if {first, ""} & tops:
            raise UsageError(f"{folder} is among the images of {root}: give another --out.")


def _top(image: Path, root: Path) -> str:
    """Name of the top-level folder in ``root`` that holds an image; "" for ``root`` itself."""
    try:
        parts = image.relative_to(root).parts
    except ValueError:  # a split file may name images elsewhere
        return "/"
    return parts[0] if len(parts) > 1 else ""


def run_folders(folder: Path) -> list[Path]:
    """List a run's folder, then its fold models' folders; for a fold model, those of its run."""
    is_fold = folder.parent.parts[-2:] == Path(FOLDS).parts
    folds = folder.parent if is_fold else folder / FOLDS
    return [folder, *sorted(folds.glob("*"))]


def remove_unstarted(folder: Path) -> None:
    """Delete what a training left that failed before its start, and the folder if empty."""
    if not holds_run(folder):
        shutil.rmtree(folder / WORK, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def tidy(folder: Path) -> None:
    """Delete all leftovers of training and of killed writes; only the inspector remains."""
    shutil.rmtree(folder / WORK, ignore_errors=True)
    sweep(folder)
    remove_checkpoints(folder / CHECKPOINTS)  # last: while they exist, tidying is not complete
