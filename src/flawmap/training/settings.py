"""The settings of a run, stored beside its checkpoints and checked by ``--resume``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import SETTINGS
from flawmap.training.steps.device import choose_precision, multiplies_bf16
from flawmap.types import Fit, Precision, PrecisionChoice
from flawmap.utils.files import write_json

_DIGESTS = {
    "images": "other good images, other file names or another --group",
    "teacher_sha256": "other teacher weights",
    "known": "other known defects",
}
# These may differ only because another setting does, and so are compared last.
_DERIVED = {"rotation", "precision"}


class Settings(BaseModel):
    """All settings that determine the weights, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    preset: str
    seed: int
    configuration: dict[str, Any]
    teacher: str
    teacher_sha256: str
    textures: str
    rotation: str
    precision: Precision
    held_out: str
    images: str
    fit: Fit = "squash"
    overlap: int = 0
    white_level: int | None = None
    known: str = ""
    """Digest of the known defects; empty if there are none."""
    parent: str = ""
    """Run that is refined; empty if none is."""


def write_or_check_settings(folder: Path, settings: Settings, *, resume: bool) -> None:
    """Write the settings of a new run, or check those of the run to resume.

    Raises UsageError if the resumed run was started with other settings.
    """
    path = folder / SETTINGS
    if resume and path.is_file():
        before = _read(path)
        current = settings.model_dump(mode="json")
        for name in sorted(current, key=_DERIVED.__contains__):
            then, now = before.model_dump(mode="json")[name], current[name]
            renamed = name == "teacher" and before.teacher_sha256 == settings.teacher_sha256
            if then != now and not renamed:
                raise UsageError(_changed(name, then, now))
        return
    write_json(path, settings.model_dump(mode="json"))


def check_split(folder: Path, fold_models: Iterable[Path], held_out: str, *, folds: int) -> None:
    """Raise UsageError at once, not only when fold models are trained, if ``--folds`` changed.

    ``fold_models``: possible folders of fold models.
    """
    if (folder / SETTINGS).is_file():
        if (then := _read(folder / SETTINGS).held_out) != held_out:
            raise UsageError(_changed("held_out", then, held_out))
    elif not folds and any((model / SETTINGS).is_file() for model in fold_models):
        raise UsageError(
            "This run was started with --folds: resume with the same --folds, or train into "
            "another --out."
        )


def resolve_precision(
    asked: PrecisionChoice,
    device: torch.device,
    started: Iterable[Path],
    say: Callable[[str], None],
) -> Precision:
    """Return the precision asked for; ``auto`` is that of the resumed run, else the best.

    ``started``: folders; the first that holds a run determines the precision it was started in.
    """
    best = choose_precision(device, asked)
    before = _precision_of_run(started) if asked == "auto" else None
    if before is not None and before != best:
        say(f"The run was started in {before} and continues in it; a new run would use {best}.")
    precision = before or best
    if precision == "bf16" and not multiplies_bf16(device):
        say(f"This processor ({device}) only emulates bf16, which is slower than float32.")
    return precision


def _precision_of_run(folders: Iterable[Path]) -> Precision | None:
    for folder in folders:
        if (folder / SETTINGS).is_file():
            return _read(folder / SETTINGS).precision
    return None


def _read(path: Path) -> Settings:
    try:
        return Settings.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise FlawmapError(f"{path} is damaged: train again into another --out.") from error


def _changed(name: str, then: object, now: object) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        key = next(k for k in {**then, **now} if then.get(k) != now.get(k))
        name, then, now = key, then.get(key), now.get(key)
    difference = _DIGESTS.get(name, f"{name} = {then!r}, now it is {now!r}")
    return (
        f"This run was started with {difference}: "
        "resume with the same options and images, or train into another --out."
    )
