"""``flawmap predict``: overlays, masks, raw maps and verdicts for images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from flawmap.data.listing.images import Paths
from flawmap.data.targets import LINES, check_folder, check_target
from flawmap.errors import UsageError
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.many.gather import gather
from flawmap.inspection.many.jobs import list_jobs
from flawmap.inspection.many.results import Results
from flawmap.inspection.many.where import check_on, choose
from flawmap.inspection.many.worker import Task, inspect_jobs
from flawmap.inspection.record import InspectionRecord
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder, sweep_below


def predict(
    run: str | os.PathLike[str],
    images: Paths = (),
    *,
    lists: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] | None = None,
    json_file: str | os.PathLike[str] | None = None,
    parquet: str | os.PathLike[str] | None = None,
    on: str = "threads",
    workers: int | None = None,
    batch: int = 1,
    keep: bool = True,
    show: Callable[[InspectionRecord, int], None] = lambda record, total: None,
    say: Callable[[str], None] = lambda text: None,
    **runtime: Unpack[RuntimeOptions],
) -> list[InspectionRecord]:
    """Inspect images; return one record per image, in input order.

    ``images``: files, folders and URLs. Folders are searched recursively, except for ground-truth
    masks and ``out`` itself. ``lists``: files that list further images, in text or Parquet.
    ``out``: folder for ``NAME_overlay.png``, ``NAME_mask.png`` (both of the image's size) and
    ``NAME_map.npy`` (float32, of the map's size). ``json_file``: file for
    the records, one a line of JSON; ``-`` for standard output. They are written one by one, so they
    survive however the call ends; the record of an image that cannot be read, inspected or written
    has an ``error``. ``parquet``: folder for the records instead, in parts and with absolute paths;
    images whose path has a record there, of the same model and settings, are not inspected again.
    ``on``: ``threads`` of this process; ``local``: processes; ``ray``: a Ray cluster started here;
    ``ray://HOST:PORT`` or ``HOST:PORT``: a running one; ``auto``: threads or, for many images,
    processes. ``workers``: processes or actors, by default as many as there are cores. With them,
    ``threads`` (by default a fair share of the cores) counts for each.
    ``batch``: images per batch. ``keep``: whether to return the records; a million take gigabytes.
    ``show`` is called with each record and the number of images, ``say`` with a line for the user.
    ``runtime``: as for :meth:`Inspector.load`. Raises FlawmapError if there is nothing to inspect,
    the disk is full or the cluster cannot be used, UsageError if ``json_file`` or ``parquet`` holds
    anything but results.
    """
    check_on(on, workers)
    _check_targets(out, json_file, parquet)
    folder = None if out is None else Path(out)
    results = Results.of(Path(run), runtime, json_file, parquet, folder)
    jobs = list_jobs(images, [os.fspath(one) for one in lists], folder)
    place = choose(on, workers, len(jobs), runtime)
    inspector = Inspector.load(run, **runtime) if place.kind == "threads" else None
    if folder is not None:
        check_writable(make_folder(folder))
        sweep_below(folder)
    records: list[InspectionRecord] = []
    with results.writing(jobs, say) as (write, todo):

        def give(record: InspectionRecord) -> None:
            write(record)
            if keep:
                records.append(record)

        def show_one(record: InspectionRecord) -> None:
            show(record, len(todo))

        if inspector is not None:
            inspect_jobs(inspector, todo, batch, folder, results.place, give, show_one)
        elif todo:
            task = Task(
                str(Path(run).absolute()), runtime, batch, _absolute(out), _absolute(results.place)
            )
            gather(task, todo, place, give, show_one, say)
    return records


def _check_targets(
    out: str | os.PathLike[str] | None,
    json_file: str | os.PathLike[str] | None,
    parquet: str | os.PathLike[str] | None,
) -> None:
    if json_file is not None and parquet is not None:
        raise UsageError("Give --json or --parquet: records are written once.")
    if parquet is not None and out is not None and Path(out).absolute() == Path(parquet).absolute():
        raise UsageError(f"{out} is named twice: give another folder as --parquet.")
    check_folder(out)
    check_target(json_file, LINES, inputs=[out], streamed=True)


def _absolute(path: str | os.PathLike[str] | None) -> str | None:
    """Return a path as workers need it, whose current folder may be another one."""
    return None if path is None else "-" if str(path) == "-" else str(Path(path).absolute())
