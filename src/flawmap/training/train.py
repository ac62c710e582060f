"""``flawmap train``: train an inspector from a folder of good images."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawmap.backbones.licence import licence_notice
from flawmap.backbones.registry import load_backbone
from flawmap.data.bit_depth import settle_white_level
from flawmap.data.layouts import Dataset, DatasetError, Sample, open_dataset
from flawmap.data.layouts.defects import open_defects
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import CHECKPOINTS, MANIFEST
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.inspector import Inspector
from flawmap.training.config import TrainConfig
from flawmap.training.finalize import finalize, report_guarantee
from flawmap.training.fit import (
    READ_OUT_SAMPLE,
    bytes_to_write,
    fit,
    fit_read_out,
    logged_seconds,
)
from flawmap.training.folds import calibrate_in_folds
from flawmap.training.follow import follow, load_finished
from flawmap.training.good_images.split import Part
from flawmap.training.output_folder import (
    check_apart,
    check_free,
    holds_run,
    remove_unstarted,
    run_folders,
    tidy,
)
from flawmap.training.prepare import Prepared, Request, prepare, read_images, set_up
from flawmap.training.resolve import check_backbone, choose_open_options, framing, method_config
from flawmap.training.settings import check_split, write_or_check_settings
from flawmap.training.steps.loop import Reporter
from flawmap.training.steps.ranks import Ranks, joined_ranks
from flawmap.utils.files import check_space, check_writable, make_folder
from flawmap.utils.locks import only_writer


def train(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    *,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    reporter: Reporter | None = None,
    **options: Any,
) -> Inspector:
    """Train on the good images in ``data`` and write an inspector to ``out``.

    ``options`` are fields of :class:`flawmap.TrainConfig`, such as ``method="adps"``; they replace
    those of ``config``. 20 % of the good images (at least 5) are held out for calibration, unless
    ``folds`` is given. With ``resume``, a stopped run continues from its newest checkpoint and ends
    with the same weights as an uninterrupted one; checkpoints are written every
    ``checkpoint_seconds``. ``reporter`` receives messages and progress. Raises FlawmapError or
    UsageError with a message that says how to fix the problem.
    """
    config = TrainConfig.of(options, config)
    with joined_ranks(config.device) as ranks:
        shown = (reporter or Reporter()) if ranks.leads else Reporter()
        return _train(Path(data), Path(out), config, resume, checkpoint_seconds, shown, ranks)


def _train(
    data: Path,
    folder: Path,
    config: TrainConfig,
    resume: bool,
    checkpoint_seconds: float,
    reporter: Reporter,
    ranks: Ranks,
) -> Inspector:
    if ranks.leads:
        check_free(folder, resume=resume)
        if folder.exists():
            with only_writer(folder):
                pass  # raise now if locked, not after reading all images
    if ranks.agree(resume and (folder / MANIFEST).is_file()):
        return _load_complete(folder, reporter) if ranks.leads else load_finished(folder)
    framing(config, method_config(config).size)  # refuse invalid options first
    backbone, source = load_backbone(config.teacher)
    if notice := licence_notice(source.name, backbone.weights_licence):
        reporter.say(notice)
    size_multiple = check_backbone(config, backbone)
    dataset = open_dataset(data, config.layout)
    known, notes = _known_defects(config, dataset)
    if ranks.leads:
        _check_folder(folder, config, dataset, known)
        if resume:
            _check_resumed(folder, config, reporter)
    config = _choose_from_images(config, dataset, size_multiple, reporter)
    for note in notes:
        reporter.say(note)
    request = Request(
        config, backbone, source, dataset, resume, checkpoint_seconds, reporter, ranks, known
    )
    return _lead(request, folder) if ranks.leads else follow(request, folder)


def _lead(request: Request, folder: Path) -> Inspector:
    """Run all trainings of the request and write them; see :func:`follow` for other processes."""
    new = not folder.exists()
    try:
        inspector = _train_all(request, folder)
    except (FlawmapError, KeyboardInterrupt):
        if new:
            remove_unstarted(folder)
        raise
    request.ranks.wait()
    return inspector


def _load_complete(folder: Path, reporter: Reporter) -> Inspector:
    """Load a run that is complete, so that there is nothing to resume."""
    if (folder / CHECKPOINTS).is_dir():  # killed during the final tidying
        tidy(folder)
    reporter.say(f"{folder} is already complete: give another --out to train again.")
    return Inspector.load(folder)


def _known_defects(
    config: TrainConfig, dataset: Dataset
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Return the defective images to learn from, and lines for the user.

    Raises UsageError if the method has no head to teach, DatasetError if there are no defects.
    """
    if config.defects is None and not config.use_defects:
        unused = (
            "Its defective images only test; flawmap train --use-defects would learn from them."
        )
        learns = method_config(config).learns_defects
        return (), (unused,) * (learns and bool(dataset.defective_test))
    if not method_config(config).learns_defects:
        raise UsageError(
            f"{config.method} as configured has no head to learn from defects: give --method "
            "destseg or adps, or leave the defects out."
        )
    if config.defects is not None:
        return open_defects(config.defects)
    if not dataset.defective_test:
        raise DatasetError(f"{dataset.root} has no defective images: leave out --use-defects.")
    return dataset.defective_test, ()


def _check_folder(
    folder: Path, config: TrainConfig, dataset: Dataset, known: Sequence[Sample]
) -> None:
    """Raise an error if the run's folder is among the images or not writable."""
    samples = (sample.path for sample in (*dataset.train, *dataset.test, *known))
    check_apart(folder, dataset.root, samples)
    if config.defects is not None:
        check_apart(folder, config.defects, (sample.path for sample in known))
    check_writable(folder)


def _check_resumed(folder: Path, config: TrainConfig, reporter: Reporter) -> None:
    """Raise UsageError if the run to resume was started with other folds."""
    whole = Part(config.folds).describe()
    check_split(folder, run_folders(folder)[1:], whole, folds=config.folds)
    if not holds_run(folder):
        reporter.say(f"{folder} holds no run to resume: starting a new one.")


def _choose_from_images(
    config: TrainConfig, dataset: Dataset, size_multiple: int, reporter: Reporter
) -> TrainConfig:
    """Report the data; choose white level and working size from the good images."""
    reporter.say(dataset.describe())
    for note in dataset.notes:
        reporter.say(note)
    good = dataset.good_train
    white_level = settle_white_level(good, config.white_level, reporter.say)
    return choose_open_options(config, good, white_level, size_multiple, reporter.say)


def _train_all(request: Request, folder: Path) -> Inspector:
    """Train the fold models, if asked for, and the inspector in ``folder``."""
    folds = request.config.folds

    def train_fold(place: Path, part: Part) -> Inspector:
        return train_one(request, place, part)

    calibration = None
    if folds:
        calibration = calibrate_in_folds(folds, folder, train_fold, request.reporter.say)
    return train_one(request, folder, Part(folds), calibration)


def train_one(
    request: Request, folder: Path, part: Part, calibration: Calibration | None = None
) -> Inspector:
    """Run one training, from the images to the inspector in ``folder``.

    A complete inspector with the same settings, such as a finished fold model, is reused.
    """
    clock = _Clock()
    setup = set_up(request, folder)
    images = read_images(request, setup, folder, part)
    clock.lap("images")
    prepared = prepare(request, setup, images, part)
    with only_writer(make_folder(folder)):
        _begin(request, prepared, folder, part)
        complete = (folder / MANIFEST).is_file()
        told = b"" if complete else prepared.settings.model_dump_json().encode()
        request.ranks.share_bytes(told)
        if complete:
            return Inspector.load(folder)
        clock.lap("prepare")
        fit(request, setup, prepared, folder)
        clock.lap("train", least=logged_seconds(folder))
        fit_read_out(prepared.method, images.sample(READ_OUT_SAMPLE, request.config.seed))
        inspector = finalize(request, setup, prepared, folder, part, calibration, clock.seconds)
        tidy(folder)
        if part.fold is None:
            report_guarantee(request, images, inspector, folder)
        return inspector


def _begin(request: Request, prepared: Prepared, folder: Path, part: Part) -> None:
    """Write the run's settings, or compare them with those of the run to resume."""
    check_free(folder, resume=request.resume or part.folds > 0)  # it may hold fold models by now
    if not (folder / MANIFEST).is_file():
        check_space(folder, bytes_to_write(prepared.method))
    write_or_check_settings(folder, prepared.settings, resume=request.resume)


@dataclass
class _Clock:
    """Seconds of each step of a training."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def lap(self, name: str, least: float = 0.0) -> None:
        now = time.monotonic()
        self.seconds[name] = max(round(now - self._last, 2), least)
        self._last = now
