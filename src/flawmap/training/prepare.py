"""Prepare one training: read the images, make the choices they decide, build the method."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import Features, ImageNorm
from flawmap.backbones.provider import TeacherSource
from flawmap.data.layouts import Dataset
from flawmap.data.resize import Framing
from flawmap.data.samples import Sample
from flawmap.inspection.bundle.manifest import LearnedDefects
from flawmap.methods.base import Method, Phase
from flawmap.methods.config import MethodConfig
from flawmap.methods.optimisation import phase_steps
from flawmap.methods.registry import METHODS
from flawmap.runtime.torch_device import choose_device
from flawmap.synthesis.textures import texture_bank
from flawmap.training.choices.alignment import Alignment, decide_alignment
from flawmap.training.choices.freedom import decide_freedom
from flawmap.training.choices.memory import decide_memory
from flawmap.training.choices.rotation import RotationDecision, decide_rotation, paper_note
from flawmap.training.config import TrainConfig
from flawmap.training.good_images.load import GoodImages, load_good_images
from flawmap.training.good_images.split import Part
from flawmap.training.known_defects.bank import KnownBank
from flawmap.training.known_defects.load import load_known
from flawmap.training.output_folder import WORK, run_folders
from flawmap.training.resolve import framing, method_config
from flawmap.training.settings import Settings, resolve_precision
from flawmap.training.steps.loop import Reporter
from flawmap.training.steps.ranks import ALONE, Ranks
from flawmap.types import Precision
from flawmap.utils.rng import Stream, generator

Stages = Callable[[Tensor], Features]  # from images (B, 3, H, W) in 0..1

_CACHE = f"{WORK}/cache"  # decoded images, if too many for memory
_ROTATION_SAMPLE = 64  # good images that decide on rotation


@dataclass(frozen=True)
class Request:
    """One call of ``train``: what its fold models and its inspector have in common."""

    config: TrainConfig
    backbone: Backbone
    source: TeacherSource
    dataset: Dataset
    resume: bool
    checkpoint_seconds: float
    reporter: Reporter
    ranks: Ranks = ALONE
    known: tuple[Sample, ...] = ()
    """Defective images to learn from."""
    learned: LearnedDefects | None = None
    """What the refined run had learned from."""


@dataclass(frozen=True)
class Setup:
    """Settings of a training that are known before its images are read."""

    config: MethodConfig
    framing: Framing
    device: torch.device
    precision: Precision
    teacher: Backbone


@dataclass(frozen=True)
class Prepared:
    """A training that is ready to run; ``config`` includes the choices that the images decided."""

    method: Method
    config: MethodConfig
    images: GoodImages
    rotation: RotationDecision
    textures: NDArray[np.uint8]
    settings: Settings
    phases: tuple[Phase, ...]
    steps: int
    """Training steps of all phases together."""
    known: KnownBank | None
    rows: NDArray[np.int64]
    """Rows of the images to train on; some may be repeated."""


def set_up(request: Request, folder: Path) -> Setup:
    """Choose device and precision, and copy the teacher, for the training in ``folder``."""
    device = choose_device(request.config.device)
    config = method_config(request.config)
    started = run_folders(folder) if request.resume else ()
    precision = resolve_precision(config.precision, device, started, request.reporter.say)
    frame = framing(request.config, config.size)
    teacher = copy.deepcopy(request.backbone)  # each fold model moves its own to the device
    return Setup(config, frame, device, precision, teacher)


def read_images(request: Request, setup: Setup, folder: Path, part: Part) -> GoodImages:
    """Decode and split the good images, and report which are used."""
    say, config = request.reporter.say, request.config
    cache = folder / _CACHE
    images = load_good_images(
        request.dataset, setup.framing, cache, config.seed, part, config.group
    )
    say(images.describe())
    if not part.folds or part.fold == 0:  # they are the same for every fold
        for line in (*images.notes, images.shape_hint()):
            if line is not None:
                say(line)
    return images


def prepare(request: Request, setup: Setup, images: GoodImages, part: Part) -> Prepared:
    """Decide rotation, memory and textures, and build the method with its initial weights."""
    config, say = request.config, request.reporter.say
    stages = features_of(setup.teacher)
    rotation = _choose_rotation(request, setup, images, stages)
    chosen = _choose_memory(request, setup.config, images, part, rotation, stages)
    torch.manual_seed(int(generator(config.seed, Stream.WEIGHTS).integers(2**63 - 1)))
    method = METHODS[config.method](setup.teacher, chosen)
    if config.textures is not None and chosen.anomalies is None:
        say(f"{config.method} trains on unchanged good images: --textures is ignored.")
    textures, described = _textures(config, chosen)
    known = _known(request, setup, images, method, rotation, part, stages)
    settings = Settings(
        method=config.method,
        preset=config.preset,
        configuration=chosen.model_dump(mode="json"),
        teacher=request.source.name,
        teacher_sha256=request.source.sha256,
        textures=described,
        rotation=rotation.rotation,
        seed=config.seed,
        precision=setup.precision,
        images=images.split_digest,
        held_out=part.describe(),
        fit=config.fit,
        overlap=setup.framing.overlap,
        white_level=setup.framing.white_level,
        known="" if known is None else known.defects.digest,
    )
    rows = images.train_rows
    steps = chosen.steps_for(rotation.rotation, len(rows))
    phases = method.phases()
    return Prepared(
        method, chosen, images, rotation, textures, settings, phases, steps, known, rows
    )


def _known(
    request: Request,
    setup: Setup,
    images: GoodImages,
    method: Method,
    rotation: RotationDecision,
    part: Part,
    stages: Stages,
) -> KnownBank | None:
    """Load the known defects, if any are given, and report them."""
    if not request.known:
        return None
    defects = load_known(request.known, setup.framing, images.loaded.sha256)
    if not part.folds or part.fold == 0:
        for line in (*defects.notes, defects.describe()):
            request.reporter.say(line)
    steps = method.config.steps_for(rotation.rotation, len(images.train_rows))
    first = first_with_defects(method.phases(), steps)
    freedom = decide_freedom(
        method.config, images.loaded.array, images.train_rows, rotation, stages, request.config.seed
    )
    return KnownBank(defects, method.config.known, freedom, first)


def first_with_defects(phases: Sequence[Phase], steps: int) -> int:
    """Return the step at which the first phase begins that learns from known defects."""
    counts = phase_steps([phase.config for phase in phases], steps)
    seen = [phase.sees_defects for phase in phases]
    return sum(counts[: seen.index(True)]) if True in seen else steps


def features_of(teacher: Backbone) -> Stages:
    """Return a function from images (B, 3, H, W) in 0..1 to the teacher's features."""
    normalise = ImageNorm(teacher.mean, teacher.std)

    def stages(x: Tensor) -> Features:
        with torch.no_grad():
            levels: Features = teacher(normalise(x))
        return levels

    return stages


def _choose_rotation(
    request: Request, setup: Setup, images: GoodImages, stages: Stages
) -> RotationDecision:
    """Decide how images are rotated, and report it."""
    config, method, say = request.config, setup.config, request.reporter.say
    rotation = decide_rotation(
        method.rotation if config.rotate == "auto" else config.rotate,
        images.sample(_ROTATION_SAMPLE, config.seed),
        stages,
        setup.teacher.size_multiple,
    )
    say(f"Rotation: {rotation.rotation}, {rotation.reason}.")
    published = method.paper_rotations if config.preset == "paper" else {}
    note = paper_note(rotation, request.dataset.root.resolve().name, published)
    if note is not None:
        say(note)
    return rotation


def _choose_memory(
    request: Request,
    method: MethodConfig,
    images: GoodImages,
    part: Part,
    rotation: RotationDecision,
    stages: Stages,
) -> MethodConfig:
    """Decide whether the method has a memory of good images, and report it."""
    # all images of a run in folds decide, so that its fold models decide alike
    rows = images.all_rows if part.folds else images.train_rows
    tiles, seed = images.loaded.array, request.config.seed

    def alignment() -> Alignment:
        return decide_alignment(tiles, rows, rotation.any_angle, stages, seed)

    chosen, line = decide_memory(method, len(rows), alignment)
    if line is not None:
        request.reporter.say(line)
    return chosen


def _textures(config: TrainConfig, method: MethodConfig) -> tuple[NDArray[np.uint8], str]:
    """Return the texture bank (M, h, w, 3) and its description."""
    if method.anomalies is None:
        return np.empty((0, *method.size, 3), np.uint8), "none: this method draws no anomalies"
    return texture_bank(config.textures, method.size, config.seed)
