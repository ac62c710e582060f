"""``flawmap train``: train an inspector from a folder of good images."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flawmap.backbones.resnet import Features, ImageNorm, ResNetTeacher
from flawmap.backbones.weights import TeacherSource, load_teacher
from flawmap.data.bit_depth import settle_white_level
from flawmap.data.layouts import Dataset, open_dataset
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import (
    CHECKPOINTS,
    MANIFEST,
    Preprocessing,
    Teacher,
    Training,
)
from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.inspector import Inspector
from flawmap.methods.base import Method
from flawmap.methods.registry import METHODS
from flawmap.runtime.torch_device import choose_device
from flawmap.synthesis.textures import draw_textures, load_textures
from flawmap.training.batches import BatchMaker
from flawmap.training.checkpoint import learned_state
from flawmap.training.choices.alignment import Alignment, decide_alignment
from flawmap.training.choices.memory import decide_memory, fill_memory
from flawmap.training.choices.outliers import (
    tell_left_out,
    tell_oddest,
    warn_of_learned,
    warn_of_outliers,
)
from flawmap.training.choices.rotation import RotationDecision, decide_rotation, paper_note
from flawmap.training.device import choose_layout
from flawmap.training.finalize import finish, fit_read_out
from flawmap.training.folds import calibrate_in_folds
from flawmap.training.good_images.load import GoodImages, load_good_images
from flawmap.training.good_images.split import Part
from flawmap.training.loop import Loop, Progress
from flawmap.training.options import DEFAULT_TEACHER, Options
from flawmap.training.output_folder import (
    WORK,
    check_apart,
    check_free,
    discard_unbegun,
    family,
    holds_run,
    tidy,
)
from flawmap.training.settings import Settings, check_split, settle, settle_precision
from flawmap.types import Fit, PrecisionChoice
from flawmap.types import RotationChoice as Choice
from flawmap.utils.files import check_space, check_writable, make_folder
from flawmap.utils.locks import only_writer
from flawmap.utils.rng import Stream, generator

_CACHE = f"{WORK}/cache"  # decoded images, if too many for memory
_READ_OUT_SAMPLE = 64  # good images to fit a method's read-out on
_PARITY_SAMPLE = 8  # tiles of good images for parity
_ROTATION_SAMPLE = 64  # good images that decide on rotation
_TEXTURES = 256  # synthetic textures; about four seconds on one core
_TEXTURE_LIMIT = 6000  # textures read from files: all of DTD


@dataclass(frozen=True)
class Reporter:
    """Callbacks of a run for messages and for training progress."""

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
    rotate: Choice = "auto",
    size: tuple[int, int] | None = None,
    fit: Fit = "squash",
    overlap: int | None = None,
    white_level: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    precision: PrecisionChoice | None = None,
    changes: Mapping[str, Any] | None = None,
    seed: int = 0,
    folds: int = 0,
    device: str = "auto",
    resume: bool = False,
    layout: str = "auto",
    group: str | int | None = None,
    leave_out_outliers: bool = False,
    checkpoint_seconds: float = 30.0,
    reporter: Reporter | None = None,
) -> Inspector:
    """Train on the good images in ``data`` and write an inspector to ``out``.

    20 % of the good images (at least 5) are held out for calibration. For few images, ``folds`` (2
    or more, 5 is usual) trains as many fold models, each without a part of the images, which it
    then scores, and finally the inspector on all: thresholds come from all images, and their
    guarantee is an expectation. This takes ``folds`` + 1 times as long. If not given, ``size``
    (height, width) follows the images' shape (:mod:`flawmap.training.choices.shape`); ``size``,
    ``steps``, ``batch_size`` and ``precision`` override the preset's values, and ``changes`` any
    other field of its configuration (``{"anomalies.foreground_share": 0.0}``). ``fit`` says how
    images are brought to that size: squashed, letterboxed or cut into tiles that overlap by
    ``overlap`` pixels, by default a quarter; see :mod:`flawmap.data.resize`. ``white_level`` is the
    value of white in 16-bit images; by default their tags or highest value decide whether they hold
    8, 10, 12, 14 or 16 bits. ``group`` keeps shots of one part on one side of the split: a regular
    expression, "folder" or a number of folders up; see :func:`flawmap.data.groups.group_images`.
    ``leave_out_outliers`` sets the thresholds without held-out images whose scores are outliers,
    which are named and recorded. With ``resume``, a stopped run continues from its newest
    checkpoint and ends with the same weights as an uninterrupted one. Raises FlawmapError or
    UsageError with a message that says how to fix the problem.
    """
    if folds == 1 or folds < 0:
        raise UsageError(f"{folds} folds make no sense: give 2 or more, 5 is usual.")
    tell = reporter or Reporter()
    folder = Path(out)
    check_free(folder, resume=resume)
    if folder.exists():
        with only_writer(folder):
            pass  # fail now, not after reading all images
    if resume and (folder / MANIFEST).is_file():
        if (folder / CHECKPOINTS).is_dir():  # killed during the final tidying
            tidy(folder)
        tell.say(f"{folder} is complete already: nothing was trained. Another --out trains anew.")
        return Inspector.load(folder)

    options = Options(
        data=data,
        method=method,
        preset=preset,
        teacher=teacher,
        textures=textures,
        rotate=rotate,
        size=size,
        fit=fit,
        overlap=overlap,
        white_level=white_level,
        steps=steps,
        batch_size=batch_size,
        precision=precision,
        changes=changes or {},
        seed=seed,
        device=device,
        resume=resume,
        layout=layout,
        group=group,
        leave_out_outliers=leave_out_outliers,
        checkpoint_seconds=checkpoint_seconds,
    )
    options.framing(options.configure().size)  # refuse invalid options first
    dataset = open_dataset(data, layout)
    samples = (sample.path for sample in (*dataset.train, *dataset.test))
    check_apart(folder, dataset.root, samples)
    check_writable(folder)
    if resume:
        check_split(folder, family(folder)[1:], Part(folds).describe(), folds=folds)
    if resume and not holds_run(folder):
        tell.say(f"{folder} holds no run to resume: starting one.")
    tell.say(dataset.describe())
    for note in dataset.notes:
        tell.say(note)
    white_level = settle_white_level(dataset.good_train, white_level, tell.say)
    options = options.settled(dataset.good_train, white_level, tell.say)

    def run(place: Path, part: Part, calibration: Calibration | None = None) -> Inspector:
        return _train(options, dataset, place, part, calibration, tell)

    new = not folder.exists()
    try:
        crossed = calibrate_in_folds(folds, folder, run, tell.say) if folds else None
        return run(folder, Part(folds), crossed)
    except (FlawmapError, KeyboardInterrupt):
        if new:
            discard_unbegun(folder)
        raise


def _train(
    options: Options,
    dataset: Dataset,
    folder: Path,
    part: Part,
    calibration: Calibration | None,
    tell: Reporter,
) -> Inspector:
    """Run one training, from the images to the inspector in ``folder``.

    A complete inspector with the same settings, such as a finished fold model, is reused.
    """
    clock = _Clock()
    seed, resume = options.seed, options.resume
    where = choose_device(options.device)
    config = options.configure()
    started = family(folder) if resume else ()
    precision = settle_precision(config.precision, where, started, tell.say)
    framing = options.framing(config.size)
    network, source = load_teacher(options.teacher)
    images = load_good_images(dataset, framing, folder / _CACHE, seed, part, options.group)
    tell.say(images.describe())
    if not part.folds or part.fold == 0:  # they are the same for every fold
        for line in (*images.notes, images.shape_hint()):
            if line is not None:
                tell.say(line)
    clock.lap("images")

    def stages(x: Tensor) -> Features:
        return _features(network, x)

    rotation = decide_rotation(
        config.rotation if options.rotate == "auto" else options.rotate,
        images.sample(_ROTATION_SAMPLE, seed),
        stages,
    )
    tell.say(f"Rotation: {rotation.rotation}, {rotation.reason}.")
    published = config.paper_rotations if options.preset == "paper" else {}
    if (note := paper_note(rotation, dataset.root.resolve().name, published)) is not None:
        tell.say(note)
    windows, rows = images.loaded.array, images.train_rows
    told_by = images.all_rows if part.folds else rows  # fold models must decide alike

    def alignment() -> Alignment:
        return decide_alignment(windows, told_by, rotation.any_angle, stages, seed)

    config, memory = decide_memory(config, len(told_by), alignment)
    if memory is not None:
        tell.say(memory)
    torch.manual_seed(int(generator(seed, Stream.WEIGHTS).integers(2**63 - 1)))
    trained = METHODS[options.method](network, config)
    if options.textures is not None and config.anomalies is None:
        tell.say(f"{options.method} learns from good images as they are: --textures is ignored.")
    needed = config.anomalies is not None
    bank, bank_name = _textures(options.textures, config.size, seed, needed=needed)
    settings = Settings(
        method=options.method,
        preset=options.preset,
        configuration=config.model_dump(mode="json"),
        teacher=source.name,
        teacher_sha256=source.sha256,
        textures=bank_name,
        rotation=rotation.rotation,
        seed=seed,
        precision=precision,
        images=images.split_digest,
        held_out=part.describe(),
        fit=options.fit,
        overlap=framing.overlap,
        white_level=framing.white_level,
    )
    with only_writer(make_folder(folder)):
        check_free(folder, resume=resume or part.folds > 0)  # fold models lie in it by now
        if not (folder / MANIFEST).is_file():
            check_space(folder, _bytes_to_write(trained))
        settle(folder, settings, resume=resume)
        if (folder / MANIFEST).is_file():
            return Inspector.load(folder)
        clock.lap("prepare")

        total = config.steps_for(rotation.rotation, len(rows))
        tell.say(
            f"Training {options.method} ({options.preset}): {total} steps of {config.batch_size} "
            f"in {precision}"
        )
        in_memory = choose_layout(trained.module, where, precision)
        trained.module.to(where, memory_format=in_memory)  # type: ignore[call-overload]
        fill_memory(trained, windows, rows, seed)
        batches = BatchMaker(
            images=windows,
            rows=rows,
            textures=bank,
            anomalies=config.anomalies,
            batch_size=config.batch_size,
            rotation=rotation.rotation,
            fill=config.rotation_fill,
            seed=seed,
            device=where,
            layout=in_memory,
        )
        seconds = options.checkpoint_seconds
        Loop(trained, batches, total, folder, where, precision, seconds, tell.show).run()
        clock.lap("train")
        clock.seconds["train"] = max(clock.seconds["train"], _logged_seconds(folder))

        fit_read_out(trained, images.sample(_READ_OUT_SAMPLE, seed))
        group = None if options.group is None else str(options.group)
        record = _record(images, dataset.root.resolve(), dataset.layout, settings, rotation)
        inspector = finish(
            folder,
            trained,
            Preprocessing.of(framing),
            images.parity_windows(_PARITY_SAMPLE, seed),
            images.held_out,
            _teacher(source),
            Training(steps=total, device=str(where), seconds=clock.seconds, group=group, **record),
            held_files=images.held_files,
            calibration=calibration,
            leave_out_outliers=options.leave_out_outliers and part.fold is None,
            method=options.method,
            preset=options.preset,
            configuration=settings.configuration,
        )
        tidy(folder)
        if part.fold is None:
            _tell_promise(inspector, images, folder, options, tell.say)
        return inspector


def _tell_promise(
    inspector: Inspector,
    images: GoodImages,
    folder: Path,
    options: Options,
    say: Callable[[str], None],
) -> None:
    """Report the guarantee of the thresholds and the suspicious images behind them."""
    calibration = inspector.manifest.calibration
    if options.leave_out_outliers:
        say(tell_left_out(calibration.left_out, images.names))
    say(tell_oddest(calibration, images.names))
    say(calibration.statement())
    # with folds, every image is held out once
    learned = None if calibration.folds else warn_of_learned(images, inspector, options.seed)
    if learned is not None:
        say(learned)
    if (warning := warn_of_outliers(calibration, images.names, folder)) is not None:
        say(warning)


def _bytes_to_write(method: Method) -> int:
    """Bytes of three checkpoints with AdamW state, plus weights and ONNX graph."""
    every: int = sum(tensor.nbytes for tensor in method.module.state_dict().values())
    learned: int = sum(tensor.nbytes for tensor in learned_state(method.module).values())
    return 3 * 3 * learned + every + every


def _logged_seconds(folder: Path) -> float:
    """Seconds of all steps, including those before a resumption."""
    lines = read_log(folder / TRAINING_LOG)
    return float(lines[-1]["seconds"]) if lines else 0.0


def _features(teacher: ResNetTeacher, x: Tensor) -> Features:
    with torch.no_grad():
        stages: Features = teacher(ImageNorm()(x))
    return stages


def _textures(
    folder: str | os.PathLike[str] | None, size: tuple[int, int], seed: int, *, needed: bool
) -> tuple[NDArray[np.uint8], str]:
    """Return the texture bank (M, h, w, 3) and its description."""
    if not needed:
        return np.empty((0, *size, 3), np.uint8), "none: this method draws no anomalies"
    if folder is None:
        return _drawn_textures(size, seed), f"{_TEXTURES} drawn by flawmap"
    bank = load_textures(Path(folder), size, _TEXTURE_LIMIT, seed)
    digest = hashlib.sha256(bank.data).hexdigest()[:12]  # no copy of gigabytes
    return bank, f"{len(bank)} pictures of {Path(folder).resolve().name} ({digest})"


@functools.lru_cache(maxsize=1)
def _drawn_textures(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Make the synthetic bank, read-only; a run in folds reuses it ``folds`` + 1 times."""
    bank = draw_textures(_TEXTURES, size, seed)
    bank.flags.writeable = False
    return bank


def _teacher(source: TeacherSource) -> Teacher:
    return Teacher(name=source.name, file=source.file, sha256=source.sha256)


def _record(
    images: GoodImages, data: Path, layout: str, settings: Settings, rotation: RotationDecision
) -> dict[str, Any]:
    """Return the manifest's record of the training, except steps and seconds."""
    return {
        "data": data.name,
        "folder": str(data),
        "layout": layout,
        "images": len(images.train),
        "held_out": len(images.held),
        "skipped": len(images.loaded.skipped),
        "useless": images.useless,
        "copies": images.copies,
        "groups": images.groups,
        "set_aside": images.aside_files,
        "fingerprint": images.fingerprint,
        "trained_on": images.trained_on,
        "rotation": rotation.rotation,
        "rotation_reason": rotation.reason,
        "textures": settings.textures,
        "seed": settings.seed,
        "precision": settings.precision,
    }
