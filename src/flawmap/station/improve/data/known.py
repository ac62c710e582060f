"""What a model has learned from: its own data set, and those of its parents."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.station.improve.taking_over import notes_of

MANIFEST, FORMAT = "dataset.json", 1


@dataclass
class Known:
    """Image digests and part numbers that a model knows, and when the newest part was received.

    `run`: the model's manifest; none if it cannot be read.
    """

    images: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    newest: int | None = None
    run: Manifest | None = None


def known_by(run: Path) -> Known:
    """Return what the model in a run's folder has learned from, as far as known.

    Its manifest names all images by digest, those that calibrate it included. Part numbers are in
    the data sets of the station: its own, and those of its parents.
    """
    known = Known()
    with suppress(FlawmapError):
        known.run = read_manifest(run)
        known.images |= _in_manifest(known.run)
    folders: set[Path] = set()
    folder: Path | None = run.parent
    while folder is not None and folder not in folders:
        folders.add(folder)
        stored = read_dataset(folder)
        for one in () if stored is None else stored["learned"]:
            known.images.add(one["image"])
            if one.get("number"):
                known.numbers.add(one["number"])
            if one.get("received_at") is not None:
                known.newest = max(known.newest or 0, one["received_at"])
        parent = None if stored is None else stored.get("refines")
        folder = None if parent is None else Path(parent).parent
    return known


def read_dataset(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a data set, or None where there is none."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("format") == FORMAT:
            return found
    return None


def _in_manifest(run: Manifest) -> set[str]:
    defects = () if run.training.defects is None else run.training.defects.files
    return {*run.spent, *run.calibration.images, *defects}


@dataclass(frozen=True)
class Made:
    """How a model was made in the station: the way, why, and the number of images by their role.

    `newest`: when the newest part was received that it learned from. `taken_over`: which settings
    of the model in force it took over and which it could not, as sentences; those of a refined
    model are all its parent's.
    """

    kind: str
    why: str
    good: int
    defective: int
    drawn: int
    calibrating: int
    newest: int | None
    taken_over: tuple[str, ...]


def made_of(run: Path) -> Made | None:
    """Return how the model in a run's folder was or is being made; None if it came from outside."""
    stored = read_dataset(run.parent)
    if stored is None or "way" not in stored:
        return None
    learned = stored["learned"]
    kinds = [one["kind"] for one in learned]
    moments = [one["received_at"] for one in learned if one.get("received_at") is not None]
    return Made(
        kind=stored["way"]["kind"],
        why=stored["way"]["why"],
        good=kinds.count("good"),
        defective=kinds.count("defective"),
        drawn=sum(bool(one.get("mask")) for one in learned),
        calibrating=kinds.count("calibrate"),
        newest=max(moments, default=None),
        taken_over=notes_of(run.parent),
    )
