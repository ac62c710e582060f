"""Settings that a model trained anew takes over from the model in force, and those it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from flawmap.calibration.recalibrate import Rates, from_stored
from flawmap.data.image_io.decoding import stated_size
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, changing, read_manifest
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.roi.mask import read_region, region_file, scaled
from flawmap.station.database.tables import Job, Model
from flawmap.station.improve.training import DATA, GOOD, RUN, RunProcess, region_command
from flawmap.utils.files import write_json

_NOTES, _DRAWING = "taken_over.json", "region.png"


def take_over(job: Job, live: Model, run_process: RunProcess) -> None:
    """Give a job's run, trained anew, the settings of the model in force, unless that was done.

    These are the rates of the thresholds, smallest area, merge distance, pixel pitch and region of
    interest; with a region, the images that calibrate are inspected again. A smallest peak and
    thresholds set by hand are not taken over, as they are values of the other model's maps and
    scores. What was taken over, and why something was not, is noted beside the run.
    """
    folder = Path(job.folder)
    if (folder / _NOTES).exists():
        return
    try:
        settings = read_manifest(Path(live.folder))
    except FlawmapError as error:
        notes = [f"Nothing was taken over from model {live.id}: {error}"]
    else:
        _set_rates_and_filters(folder / RUN, settings)
        problem = None
        if settings.region is not None:
            problem = _set_region(job, Path(live.folder), settings, run_process)
        notes = [_taken(live, settings, problem), *_missed(folder / RUN, settings, problem)]
    write_json(folder / _NOTES, notes)


def notes_of(folder: Path) -> tuple[str, ...]:
    """Return what was taken over and what was not, as sentences; none for a job that did not."""
    with suppress(OSError, ValueError):
        return tuple(json.loads((folder / _NOTES).read_text(encoding="utf-8")))
    return ()


def _set_rates_and_filters(run: Path, settings: Manifest) -> None:
    limits = settings.calibration
    rates = Rates(limits.reject.asked, limits.review.asked)
    filters = settings.filters.model_copy(update={"min_peak": 0.0})
    with changing(run) as manifest:
        save_manifest(run, from_stored(manifest, rates).model_copy(update={"filters": filters}))


def _set_region(job: Job, live: Path, settings: Manifest, run_process: RunProcess) -> str | None:
    """Set the region of the model in force; return why that was refused, or None."""
    folder = Path(job.folder)
    try:
        drawing = _drawing(folder, live, settings)
        command = region_command(folder / RUN, drawing)
        run_process(job, command, "Setting the region of interest")
    except FlawmapError as error:
        return str(error)
    return None


def _drawing(folder: Path, live: Path, settings: Manifest) -> Path:
    """Return the region as an image that has the shape of the job's images.

    The region of a model that squashes its images has the shape of its working size.
    """
    assert settings.region is not None
    mask = read_region(live, settings.region, None)
    first = next(iter(sorted((folder / DATA / GOOD).iterdir())), None)
    size = stated_size(first) if first is not None else None
    if settings.preprocessing.fit != "squash" or size is None:
        return live / region_file(settings.region)
    write_png(folder / _DRAWING, 255 * scaled(mask, size).astype(np.uint8))
    return folder / _DRAWING


def _taken(live: Model, settings: Manifest, problem: str | None) -> str:
    limits, filters = settings.calibration, settings.filters
    what = [
        f"reject {100 * limits.reject.asked:g} % and review {100 * limits.review.asked:g} % of "
        "good parts"
    ]
    what += [f"smallest area {filters.min_area:g} px"] if filters.min_area else []
    what += [f"merge distance {filters.merge_distance:g} px"] if filters.merge_distance else []
    what += [f"pixel pitch {filters.pixel_pitch:g} mm"] if filters.pixel_pitch else []
    what += ["region of interest"] if settings.region is not None and problem is None else []
    return f"Taken over from model {live.id}: {', '.join(what)}."


def _missed(run: Path, settings: Manifest, problem: str | None) -> Iterator[str]:
    if not settings.calibration.computed:
        yield (
            "Not taken over: thresholds that were set by hand, as they are scores of that model. "
            "These ones are computed for the rates."
        )
    if settings.filters.min_peak:
        yield (
            f"Not taken over: the smallest peak {settings.filters.min_peak:g}, as it is a value of "
            "that model's map. Choose another on the page Thresholds once this model inspects."
        )
    if problem is not None:
        yield (
            f"Not taken over: the region of interest, so that the whole image is inspected. "
            f"{problem} To set it, run: flawmap regions {run} --roi FILE"
        )
