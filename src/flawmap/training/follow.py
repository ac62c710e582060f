"""What a training process other than rank 0 does: the same steps, and nothing is written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import MANIFEST
from flawmap.inspection.inspector import Inspector
from flawmap.training.fit import fit
from flawmap.training.good_images.split import Part
from flawmap.training.prepare import Request, prepare, read_images, set_up


def follow(request: Request, folder: Path) -> Inspector:
    """Take part in the trainings that rank 0 writes to ``folder``; return its inspector.

    Raises FlawmapError if this process would train on other images or with other settings, or if
    the inspector lies on another machine.
    """
    folds = request.config.folds
    for part in (*(Part(folds, fold) for fold in range(folds)), Part(folds)):
        with tempfile.TemporaryDirectory(prefix="flawmap-") as scratch:
            _follow_one(request, Path(scratch), part)
    request.ranks.wait()
    return load_finished(folder)


def load_finished(folder: Path) -> Inspector:
    """Load what rank 0 has written; FlawmapError if it lies on another machine."""
    if not (folder / MANIFEST).is_file():
        raise FlawmapError(
            f"{folder} is complete, but on the machine of rank 0: for several machines, give an "
            "--out that all of them see."
        )
    return Inspector.load(folder)


def _follow_one(request: Request, scratch: Path, part: Part) -> None:
    setup = set_up(request, scratch)
    images = read_images(request, setup, scratch, part)
    prepared = prepare(request, setup, images, part)
    led = request.ranks.share_bytes(b"")
    if not led:  # rank 0 found this model complete
        return
    own = prepared.settings.model_dump(mode="json")
    for name, value in json.loads(led).items():
        if own[name] != value:
            raise FlawmapError(
                f"Process {request.ranks.rank} has another {name} than rank 0 ({own[name]!r}, not "
                f"{value!r}): give all processes the same images, files and versions."
            )
    fit(request, setup, prepared, scratch)
