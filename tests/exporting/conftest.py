"""A small inspector of stripes, trained for a moment, and the pictures it learned from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from flawmap.data.image_io.images import write_png
from flawmap.inspection.bundle.manifest import (
    Manifest,
    Preprocessing,
    Teacher,
    Training,
    read_manifest,
)
from flawmap.training.finalize import finish
from flawmap.utils.files import digest
from methods.tiny import SIZE
from training.tiny import tiny_images, tiny_loop

LEARNED, HELD_OUT = 16, 8
HELD = (LEARNED, LEARNED + HELD_OUT)


class Striped(NamedTuple):
    run: Path
    manifest: Manifest
    held_out: np.ndarray


@pytest.fixture(scope="session")
def striped_once(once: Callable[..., Path]) -> Striped:
    """The inspector, once for all processes of the tests. Do not change it."""
    pictures = tiny_images(LEARNED + HELD_OUT)
    run = once("striped", lambda folder: make_striped(folder, pictures)) / "run"
    return Striped(run, read_manifest(run), pictures[LEARNED:])


def make_striped(folder: Path, pictures: np.ndarray) -> None:
    data, run = folder / "data", folder / "run"
    (data / "good").mkdir(parents=True)
    for index, picture in enumerate(pictures):
        write_png(data / "good" / f"{index:02}.png", picture)
    run.mkdir()
    loop = tiny_loop(run, steps=24)
    loop.run()
    learned = tuple(digest(data / "good" / f"{index:02}.png") for index in range(LEARNED))
    training = Training(
        data="data", folder=str(data), layout="folder", images=LEARNED, held_out=HELD_OUT,
        skipped=0, fingerprint="", trained_on=learned, rotation="slight", rotation_reason="",
        textures="", seed=0, steps=24, device="cpu", precision="float32", seconds={},
    )  # fmt: skip
    finish(
        run, loop.method, Preprocessing(size=SIZE), pictures[LEARNED:], pictures[LEARNED:],
        Teacher(name="tiny", file="tiny", sha256="tiny"), training, method="destseg",
        preset="fast", configuration=loop.method.config.model_dump(mode="json"),
        held_files=[digest(data / "good" / f"{index:02}.png") for index in range(*HELD)],
    )  # fmt: skip
    shutil.rmtree(run / "checkpoints")


@pytest.fixture
def few_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are judged on 12 drawn defects of 8 textures."""
    monkeypatch.setattr("flawmap.exporting.export._ANOMALIES", 12)
    monkeypatch.setattr("flawmap.exporting.synthetic._TEXTURES", 8)


@pytest.fixture
def striped(striped_once: Striped, tmp_path: Path) -> Striped:
    """The inspector in a folder of its own; its teacher was no file and is nowhere else."""
    run = tmp_path / "run"
    shutil.copytree(striped_once.run, run)
    return striped_once._replace(run=run)
