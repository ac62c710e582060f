"""``flawmap refine``: teach a run's head known defects and further good parts."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import (
    CHECKPOINTS,
    MANIFEST,
    Manifest,
    Refinement,
    read_manifest,
    run_id,
)
from flawmap.inspection.inspector import Inspector
from flawmap.methods.registry import find_preset
from flawmap.training.config import TrainConfig
from flawmap.training.finalize import finalize, report_guarantee
from flawmap.training.fit import READ_OUT_SAMPLE, bytes_to_write, fit, fit_read_out, logged_seconds
from flawmap.training.good_images.load import GoodImages
from flawmap.training.good_images.split import Part
from flawmap.training.output_folder import check_apart, check_free, remove_unstarted, tidy
from flawmap.training.prepare import Request
from flawmap.training.refining.inherit import inherited
from flawmap.training.refining.prepare import Parent, prepare, read_images, request_of, set_up
from flawmap.training.refining.sources import added_before, find_sources
from flawmap.training.settings import write_or_check_settings
from flawmap.training.steps.loop import Reporter
from flawmap.utils.files import check_space, check_writable, make_folder
from flawmap.utils.locks import only_writer


def refine(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    good: str | os.PathLike[str] | None = None,
    defects: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    textures: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
    reporter: Reporter | None = None,
) -> Inspector:
    """Let the head of ``run`` learn known defects and further good parts, into ``out``.

    ``defects``: as for :func:`flawmap.train`. ``good``: good parts, such as rejected ones; they are
    trained on and never calibrate, as parts picked for their scores are no random sample. ``data``:
    the folder that ``run`` was trained on, by default where it lay then. The images that calibrate
    ``run`` calibrate the new one, too. What ``run`` had learned from earlier is learned again.
    ``textures``, ``device``, ``resume`` and ``checkpoint_seconds``: as for training. Raises
    FlawmapError or UsageError with a message that says how to fix the problem.
    """
    folder, source = Path(out), Path(run)
    shown = reporter or Reporter()
    manifest = read_manifest(source)
    _check_parent(source, manifest)
    check_free(folder, resume=resume)
    if resume and (folder / MANIFEST).is_file():
        _check_child(folder, manifest)
        if (folder / CHECKPOINTS).is_dir():  # killed at the very end
            return _finish(folder)
        shown.say(f"{folder} is already complete: give another --out to refine again.")
        return Inspector.load(folder)
    config = TrainConfig.of(
        {
            "method": manifest.method,
            "preset": manifest.preset,
            "seed": seed,
            "device": device,
            "textures": None if textures is None else Path(textures),
            "defects": None if defects is None else Path(defects),
            "group": manifest.training.group,
        }
    )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "refine takes a minute or two and runs in one process: leave out torchrun."
        )
    if good is None and defects is None:
        raise UsageError("There is nothing to learn: give --defects DIR, --good DIR, or both.")
    sources = find_sources(manifest, _path(data), _path(good), config.defects)
    images = (*sources.train, *sources.added, *sources.held, *(s.path for s in sources.defects))
    for root in (sources.dataset.root, _path(good), config.defects):
        if root is not None:
            check_apart(folder, root, images)
    check_writable(folder)
    for note in sources.notes:
        shown.say(note)
    parent = Parent(source, manifest, sources, _path(good))
    request = request_of(parent, config, resume, checkpoint_seconds, shown)
    new = not folder.exists()
    try:
        return _refine(parent, request, folder)
    except (FlawmapError, KeyboardInterrupt):
        if new:
            remove_unstarted(folder)
        raise


def _refine(parent: Parent, request: Request, folder: Path) -> Inspector:
    start = time.monotonic()
    setup = set_up(parent, request, folder)
    with only_writer(make_folder(folder)):
        images = read_images(parent, setup.framing, folder)
        request.reporter.say(images.describe())
        prepared = prepare(parent, request, setup, images)
        check_space(folder, bytes_to_write(prepared.method))
        write_or_check_settings(folder, prepared.settings, resume=request.resume)
        ready = time.monotonic()
        fit(request, setup, prepared, folder)
        fit_read_out(prepared.method, images.sample(READ_OUT_SAMPLE, request.config.seed))
        seconds = {
            "prepare": round(ready - start, 2),
            "train": max(round(time.monotonic() - ready, 2), logged_seconds(folder)),
        }
        finalize(
            request,
            setup,
            prepared,
            folder,
            Part(),
            None,
            seconds,
            _history(parent, request, images),
            lambda place, own: inherited(parent.folder, parent.manifest, place, own),
        )
    inspector = _finish(folder)
    if exports := ", ".join(parent.manifest.exports):
        request.reporter.say(
            f"Its parent was exported, too ({exports}): flawmap export makes the same of {folder}."
        )
    report_guarantee(request, images, inspector, folder)
    return inspector


def _finish(folder: Path) -> Inspector:
    """Remove what only a training needs; the run itself is complete."""
    with only_writer(folder):
        tidy(folder)
    return Inspector.load(folder)


def _history(parent: Parent, request: Request, images: GoodImages) -> tuple[Refinement, ...]:
    """Return the parent's history and this refinement."""
    defects = request.config.defects
    added = images.trained_on[len(images.train) - images.added :]
    before = added_before(parent.manifest)
    return (
        *parent.manifest.training.history,
        Refinement(
            parent=run_id(parent.manifest),
            good=None if parent.good is None else str(parent.good.resolve()),
            added=tuple(sha256 for sha256 in added if sha256 not in before),
            defects=None if defects is None else str(defects.resolve()),
        ),
    )


def _check_parent(run: Path, manifest: Manifest) -> None:
    """Raise UsageError if a run cannot be refined."""
    config = type(find_preset(manifest.method, manifest.preset)).model_validate(
        manifest.configuration
    )
    if not config.learns_defects:
        raise UsageError(
            f"{run} is a run of {manifest.method} as configured without a head, which is all that "
            "refine teaches: refine a run of destseg or adps."
        )
    if manifest.calibration.folds:
        raise UsageError(
            f"{run} was calibrated by folds, so that no good image is left that it was not trained "
            "on: train anew with --defects and --folds."
        )


def _check_child(folder: Path, parent: Manifest) -> None:
    """Raise UsageError if the complete run in ``folder`` is no refinement of ``parent``."""
    history = read_manifest(folder).training.history
    if not history or history[-1].parent != run_id(parent):
        raise UsageError(
            f"{folder} is a run that was not refined from this one: give another --out."
        )


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
