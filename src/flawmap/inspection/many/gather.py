"""Inspection by several workers, whose records are gathered here in the order of the images."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flawmap.data.urls import is_url
from flawmap.inspection.many.cluster import check_nodes, connected
from flawmap.inspection.many.crew import Crew
from flawmap.inspection.many.identity import run_files
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.many.local import LocalCrew
from flawmap.inspection.many.ray_crew import RayCrew
from flawmap.inspection.many.schedule import Schedule
from flawmap.inspection.many.where import Place, chunk_size
from flawmap.inspection.many.worker import Task
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.hardware import available_cores
from flawmap.utils.signals import undisturbed


def gather(
    task: Task,
    jobs: Sequence[Job],
    place: Place,
    give: Callable[[InspectionRecord], None],
    show: Callable[[InspectionRecord], None],
    say: Callable[[str], None],
) -> None:
    """Inspect images by processes or actors; ``give`` and ``show`` each record, in order.

    Raises FlawmapError as :class:`Schedule` and :func:`connected`, and for whatever keeps a worker
    from inspecting any image. However the call ends, the workers end, too, and the records of all
    images that processes had finished are given.
    """
    task = replace(task, options={**task.options, "threads": place.cores})
    with _crew(task, jobs, place, say) as crew:
        schedule = Schedule(crew, jobs, chunk_size(len(jobs), crew.size, task.batch))
        writable = True

        def deliver(record: InspectionRecord, stored: Callable[[], None]) -> None:
            nonlocal writable
            with undisturbed():  # otherwise an interrupt could lose the record or repeat it
                writable = False
                give(record)
                writable = True
                stored()
                show(record)

        try:
            for record in schedule:
                deliver(record, schedule.advance)
        except BaseException:  # no output image should lack its record
            for record in schedule.rest(crew.close(finished=False)) if writable else ():
                deliver(record, lambda: None)
            raise


@contextlib.contextmanager
def _crew(
    task: Task, jobs: Sequence[Job], place: Place, say: Callable[[str], None]
) -> Iterator[Crew]:
    if place.kind == "local":
        say(f"{len(jobs):,} images in {place.workers} process(es), --on local.")
        with LocalCrew(task, place.workers or 1, place.cores) as local:
            yield local
        return
    gpu = task.options.get("device", "cpu").lower() != "cpu"
    files = run_files(Path(task.run), task.options)
    with connected(place.address, (place.workers or 0) * place.cores or available_cores()) as ray:
        check_nodes(ray, urls=any(is_url(job.source) for job in jobs))
        with RayCrew(ray, task, files, place.workers, place.cores, gpu=gpu, say=say) as actors:
            say(f"{len(jobs):,} images by {actors.size} actor(s) of a Ray cluster.")
            yield actors
