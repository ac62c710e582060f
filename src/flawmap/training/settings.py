"""What a run was asked to do, kept beside its checkpoints so that ``--resume`` goes on with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from flawmap.errors import FlawmapError, UsageError
from flawmap.files import write_json
from flawmap.inspector.manifest import MANIFEST

SETTINGS = "settings.json"


class Settings(BaseModel):
    """Everything that decides the weights, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    preset: str
    configuration: dict[str, Any]
    teacher: str
    teacher_sha256: str
    textures: str
    rotation: str
    seed: int
    precision: str
    images: str


def settle(folder: Path, settings: Settings, *, resume: bool) -> None:
    """Write the settings of a fresh run, or check those of the one to resume.

    Raises UsageError where the resumed run was started with other settings.
    """
    path = folder / SETTINGS
    if resume and path.is_file():
        before = _read(path)
        for name, now in settings.model_dump(mode="json").items():
            then = before.model_dump(mode="json")[name]
            if then != now:
                raise UsageError(_changed(name, then, now))
        return
    write_json(path, settings.model_dump(mode="json"))


def _read(path: Path) -> Settings:
    try:
        return Settings.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise FlawmapError(f"{path} is damaged: train anew into another --out.") from error


def _changed(name: str, then: object, now: object) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        key = next(k for k in then.keys() | now.keys() if then.get(k) != now.get(k))
        name, then, now = key, then.get(key), now.get(key)
    return (
        f"This run was started with {name} = {then!r}, now it is {now!r}: "
        "resume with the same options and images, or train into another --out."
    )


def check_free(folder: Path, *, resume: bool) -> None:
    """UsageError where ``folder`` holds a run already and it is not to be resumed."""
    if resume or not folder.is_dir():
        return
    if any((folder / name).exists() for name in (MANIFEST, SETTINGS, "checkpoints")):
        raise UsageError(f"{folder} holds a run already: give --resume, or another --out.")
