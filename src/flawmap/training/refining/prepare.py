"""Prepare a refinement: the parent's network, its images in their roles, and what is new."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.backbones.base import Backbone
from flawmap.backbones.provider import TeacherSource
from flawmap.data.resize import Framing
from flawmap.exporting.rebuild import rebuild_method
from flawmap.inspection.bundle.manifest import Manifest, run_id
from flawmap.methods.base import Method
from flawmap.runtime.torch_device import choose_device
from flawmap.synthesis.textures import texture_bank
from flawmap.training.choices.freedom import decide_freedom
from flawmap.training.choices.rotation import RotationDecision
from flawmap.training.config import TrainConfig
from flawmap.training.good_images.load import GoodImages, load_framed
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.known_defects.load import KnownDefects, load_known
from flawmap.training.output_folder import WORK, run_folders
from flawmap.training.prepare import Prepared, Request, Setup, features_of
from flawmap.training.refining.sources import Sources
from flawmap.training.settings import Settings, resolve_precision
from flawmap.training.steps.loop import Reporter

_HARD_SHARE = 0.25  # of an epoch's images: good ones that were added, however few they are


@dataclass(frozen=True)
class Parent:
    """The run that is refined, and its images."""

    folder: Path
    manifest: Manifest
    sources: Sources
    good: Path | None

    @cached_property
    def method(self) -> Method:
        """The trained method, rebuilt once: its head goes on learning."""
        return rebuild_method(self.folder, self.manifest)


def request_of(
    parent: Parent, config: TrainConfig, resume: bool, seconds: float, reporter: Reporter
) -> Request:
    """Return what the steps of a training need to know of a refinement."""
    teacher = parent.manifest.teacher
    source = TeacherSource(teacher.name, teacher.file, teacher.sha256, teacher.backbone)
    backbone: Backbone = parent.method.module.teacher  # type: ignore[assignment]
    backbone.weights_licence = teacher.licence
    return Request(
        config,
        backbone,
        source,
        parent.sources.dataset,
        resume,
        seconds,
        reporter,
        learned=parent.manifest.training.defects,
    )


def set_up(parent: Parent, request: Request, folder: Path) -> Setup:
    """Take method, size and framing from the parent; choose device and precision."""
    manifest = parent.manifest
    method = parent.method.config
    device = choose_device(request.config.device)
    started = run_folders(folder) if request.resume else ()
    precision = resolve_precision(method.precision, device, started, request.reporter.say)
    return Setup(method, manifest.preprocessing.framing, device, precision, request.backbone)


def read_images(parent: Parent, framing: Framing, folder: Path) -> GoodImages:
    """Decode the good images; each keeps its role, and those that were added are trained on."""
    sources = parent.sources
    paths = (*sources.train, *sources.added, *sources.held, *sources.set_aside)
    loaded = load_framed(paths, framing, folder / WORK / "cache")
    place = {path: index for index, path in enumerate(loaded.paths)}

    def rows(*chosen: Path) -> NDArray[np.int64]:
        return np.array([place[path] for path in chosen if path in place], np.int64)

    return GoodImages(
        sources.dataset.root,
        loaded,
        framing,
        rows(*sources.train, *sources.added),
        rows(*sources.held),
        rows(*sources.set_aside),
        added=len(rows(*sources.added)),
    )


def prepare(parent: Parent, request: Request, setup: Setup, images: GoodImages) -> Prepared:
    """Build the method with the parent's weights, and load the known defects."""
    manifest, config = parent.manifest, request.config
    method = parent.method
    phases = method.refining()
    trained = manifest.training
    rotation = RotationDecision(
        trained.rotation, trained.rotation_reason, trained.rotation == "full"
    )
    textures, described = _textures(config, method)
    defects = _defects(parent, setup.framing, images, request.reporter)
    bank = None
    if defects is not None:
        stages = features_of(request.backbone)
        freedom = decide_freedom(
            method.config, images.loaded.array, images.train_rows, rotation, stages, config.seed
        )
        bank = KnownBank(defects, method.config.known, freedom, first_step=0)
    settings = Settings(
        method=manifest.method,
        preset=manifest.preset,
        configuration=method.config.model_dump(mode="json"),
        teacher=manifest.teacher.name,
        teacher_sha256=manifest.teacher.sha256,
        textures=described,
        rotation=trained.rotation,
        seed=config.seed,
        precision=setup.precision,
        images=images.split_digest,
        held_out="as its parent",
        fit=setup.framing.fit,
        overlap=setup.framing.overlap,
        white_level=setup.framing.white_level,
        known="" if defects is None else defects.digest,
        parent=run_id(manifest),
    )
    return Prepared(
        method,
        method.config,
        images,
        rotation,
        textures,
        settings,
        phases,
        method.refining_steps(len(images.train_rows)),
        bank,
        with_hard(images),
    )


def with_hard(images: GoodImages) -> NDArray[np.int64]:
    """Return the rows to train on; added images are repeated until they are a quarter of them."""
    rows = images.train_rows
    if not images.added:
        return rows
    old, new = (
        len(images.train) - images.added,
        images.loaded.rows_of(images.train[-images.added :]),
    )
    kept = images.loaded.rows_of(images.train[:old])
    wanted = round(_HARD_SHARE / (1 - _HARD_SHARE) * len(kept))
    times = max(1, round(wanted / len(new)))
    return np.concatenate([kept, np.tile(new, times)])


def _defects(
    parent: Parent, framing: Framing, images: GoodImages, reporter: Reporter
) -> KnownDefects | None:
    if not parent.sources.defects:
        return None
    known = load_known(parent.sources.defects, framing, images.loaded.sha256)
    for line in (*known.notes, known.describe()):
        reporter.say(line)
    return known


def _textures(config: TrainConfig, method: Method) -> tuple[NDArray[np.uint8], str]:
    if method.config.anomalies is None:
        return np.empty((0, *method.config.size, 3), np.uint8), "none"
    return texture_bank(config.textures, method.config.size, config.seed)
