"""``flawmap train``: from a folder of good images to an inspector."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from flawmap.datasets import open_dataset
from flawmap.datasets.load import fingerprint, load_images
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import make_folder
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.manifest import MANIFEST, Teacher, Training
from flawmap.methods.base import Method
from flawmap.methods.destseg.config import DestsegConfig
from flawmap.methods.registry import METHODS, find_preset
from flawmap.rng import Stream, generator
from flawmap.synthesis.textures import draw_textures, load_textures
from flawmap.teachers.resnet import Features
from flawmap.teachers.weights import load_teacher
from flawmap.training.batches import BatchMaker
from flawmap.training.checkpoint import remove_checkpoints
from flawmap.training.device import choose_device, choose_precision
from flawmap.training.finish import finish
from flawmap.training.loop import Loop, Progress
from flawmap.training.rotation import decide_rotation
from flawmap.training.settings import Settings, check_free, settle

DEFAULT_TEACHER = "resnet18"
HELD_OUT_SHARE = 0.2
HELD_OUT_LEAST = 5
_LEAST_IMAGES = HELD_OUT_LEAST + 1
_TEXTURES = 256  # drawn ones; about four seconds on one core
_TEXTURE_LIMIT = 6000  # read ones: all of DTD


@dataclass
class Reporter:
    """What a run tells as it goes: sentences, and steps of training."""

    say: Callable[[str], None] = lambda text: None
    show: Callable[[Progress], None] = lambda progress: None


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._last, 2)
        self._last = now


def train(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    method: str = "destseg",
    preset: str = "fast",
    teacher: str | os.PathLike[str] = DEFAULT_TEACHER,
    textures: str | os.PathLike[str] | None = None,
    rotate: Literal["auto", "none", "slight", "full"] = "auto",
    steps: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    layout: str = "auto",
    checkpoint_seconds: float = 30.0,
    reporter: Reporter | None = None,
) -> Inspector:
    """Learn from the good images in ``data`` and leave an inspector in ``out``.

    20 % of the good images (at least 5) are held out for calibration. ``steps`` and
    ``batch_size`` override the preset's. With ``resume`` a run that was stopped goes on from its
    newest checkpoint and ends with the weights of one never stopped. Raises FlawmapError or
    UsageError with the mend.
    """
    tell = reporter or Reporter()
    folder = Path(out)
    check_free(folder, resume=resume)
    if resume and (folder / MANIFEST).is_file():
        tell.say(f"{folder} is complete already; nothing to resume.")
        return Inspector.load(folder)
    clock = _Clock()
    chosen = choose_device(device)
    config = _configure(find_preset(method, preset), steps, batch_size)
    dataset = open_dataset(data, layout)
    tell.say(dataset.describe())
    if len(dataset.good_train) < _LEAST_IMAGES:
        raise FlawmapError(_too_few(len(dataset.good_train), dataset.root))
    network, source = load_teacher(teacher)
    make_folder(folder)
    loaded = load_images(dataset.good_train, config.size, cache_dir=folder / "cache")
    if len(loaded.array) < _LEAST_IMAGES:
        raise FlawmapError(_too_few(len(loaded.array), dataset.root))
    train_rows, held_rows = split(len(loaded.array), seed)
    tell.say(
        f"{len(train_rows)} good images to learn from, {len(held_rows)} held out for the thresholds"
        + (f", {len(loaded.skipped)} unreadable and skipped" if loaded.skipped else "")
    )
    clock.lap("images")
    texture_name = "drawn by flawmap" if textures is None else str(Path(textures).name)
    torch.manual_seed(int(generator(seed, Stream.WEIGHTS).integers(2**63 - 1)))
    trained = METHODS[method].build(network, config)
    rotation = decide_rotation(
        rotate, loaded.array[train_rows], lambda x: _features(trained, x), seed
    )
    tell.say(f"Rotation: {rotation.rotation}, {rotation.reason}.")
    total = config.steps_for(rotation.rotation)
    precision = choose_precision(chosen)
    settings = Settings(
        method=method,
        preset=preset,
        configuration=config.model_dump(mode="json"),
        teacher=source.name,
        teacher_sha256=source.sha256,
        textures=texture_name,
        rotation=rotation.rotation,
        seed=seed,
        precision=precision,
        images=fingerprint(loaded.sha256),
    )
    settle(folder, settings, resume=resume)
    bank = _textures(textures, config.size, seed)
    clock.lap("prepare")
    trained.module.to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = BatchMaker(
        loaded.array[train_rows],
        bank,
        config.anomalies,
        config.batch_size,
        rotation.rotation,
        config.rotation_fill,
        seed,
        chosen,
    )
    tell.say(f"Training {method} ({preset}), {total} steps of {config.batch_size}, {precision}")
    Loop(trained, batches, total, folder, chosen, precision, checkpoint_seconds, tell.show).run()
    clock.lap("train")
    record = Training(
        data=dataset.root.resolve().name,
        layout=dataset.layout,
        images=len(train_rows),
        held_out=len(held_rows),
        skipped=len(loaded.skipped),
        fingerprint=settings.images,
        trained_on=tuple(loaded.sha256[i] for i in train_rows),
        rotation=rotation.rotation,
        rotation_reason=rotation.reason,
        textures=texture_name,
        seed=seed,
        steps=total,
        device=str(chosen),
        precision=precision,
        seconds=clock.seconds,
    )
    inspector = finish(
        folder,
        trained,
        config.size,
        loaded.array[held_rows],
        Teacher(name=source.name, file=source.file, sha256=source.sha256),
        record,
        method=method,
        preset=preset,
        configuration=settings.configuration,
    )
    remove_checkpoints(folder / "checkpoints")
    tell.say(inspector.manifest.calibration.statement())
    return inspector


def split(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on and rows held out (20 %, at least 5), each in order.

    >>> train_rows, held_rows = split(48, seed=0)
    >>> len(train_rows), len(held_rows)
    (38, 10)
    """
    held = max(HELD_OUT_LEAST, round(HELD_OUT_SHARE * count))
    order = generator(seed, Stream.SPLIT).permutation(count)
    return np.sort(order[held:]), np.sort(order[:held])


def _configure(config: DestsegConfig, steps: int | None, batch_size: int | None) -> DestsegConfig:
    asked = {"steps": steps, "steps_when_turned": steps, "batch_size": batch_size}
    changes = {name: value for name, value in asked.items() if value is not None}
    try:
        return type(config).model_validate(config.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-").replace("-when-turned", "")
        raise UsageError(f"--{option} {first['input']}: {first['msg'].lower()}.") from error


def _too_few(count: int, root: Path) -> str:
    return (
        f"{root} has {count} usable good images: at least {_LEAST_IMAGES} are needed, "
        f"{HELD_OUT_LEAST} of which set the thresholds. Photograph more good parts."
    )


def _features(method: Method, x: Tensor) -> Features:
    module = method.module
    with torch.no_grad():
        return module.teacher(module.normalise_image(x))  # type: ignore[operator,no-any-return]


def _textures(
    folder: str | os.PathLike[str] | None, size: tuple[int, int], seed: int
) -> NDArray[np.uint8]:
    if folder is None:
        return draw_textures(_TEXTURES, size, seed)
    return load_textures(Path(folder), size, _TEXTURE_LIMIT, seed)
