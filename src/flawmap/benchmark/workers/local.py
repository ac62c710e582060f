"""Run jobs on this machine, one after another or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

from flawmap.benchmark.workers.commands import Commands
from flawmap.utils.hardware import available_cores

Job = TypeVar("Job")


def share_of_cores(workers: int) -> int | None:
    """Return the threads of each of ``workers`` processes; None for a single one: all cores."""
    return None if workers == 1 else max(1, available_cores() // workers)


def run_local(jobs: Iterable[Job], run: Callable[[Job, Commands], None], workers: int) -> None:
    """Call ``run`` for each job, ``workers`` at once, each on its share of the cores.

    ``run`` handles errors of its job. Ctrl-C ends the commands of all running jobs.
    """
    commands = Commands(share_of_cores(workers))
    if workers == 1:
        for job in jobs:
            run(job, commands)
        return
    pool = ThreadPoolExecutor(workers, "flawmap-bench")
    try:
        pending = {pool.submit(run, job, commands) for job in jobs}
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
    except BaseException:
        commands.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
