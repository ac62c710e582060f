"""Run jobs on a Ray cluster, each as one task with stated resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flawmap.benchmark.workers.commands import Commands
from flawmap.errors import FlawmapError
from flawmap.inspection.many.cluster import check_nodes, connected, first_line
from flawmap.utils.hardware import available_cores

Job = TypeVar("Job")
Result = TypeVar("Result")
_RETRIES = 2  # of a task whose node or process was lost


def run_on_ray(
    on: str,
    jobs: Iterable[Job],
    run: Callable[[Job, Commands], Result],
    finish: Callable[[Job, Result | str], None],
    *,
    cores: int,
    gpus: int,
) -> None:
    """Call ``run`` for each job on some node, and ``finish`` here as results come.

    Each task holds ``cores`` and ``gpus`` of its node, and runs commands of ``cores`` threads. Of a
    job that failed, ``finish`` gets the message. A job whose node or process is lost is run again,
    twice at most. Raises FlawmapError if the cluster cannot be reached or never has the resources.
    """
    address = None if on == "ray" else on
    with connected(address, available_cores()) as ray:
        check_nodes(ray, urls=False)
        _check_resources(ray, cores, gpus)
        task = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=_RETRIES)(_run_there)
        pending = {task.remote(run, job, cores): job for job in jobs}
        try:
            while pending:
                ready, _ = ray.wait(list(pending), timeout=1.0)
                for reference in ready:
                    finish(pending.pop(reference), _result(ray, reference))
        except BaseException:
            for reference in pending:
                ray.cancel(reference, force=True)
            raise


def _run_there(run: Callable[[Any, Commands], Any], job: Any, cores: int) -> Any | str:
    """On a node: run the job, or say why not in one line."""
    try:
        return run(job, Commands(cores))
    except FlawmapError as error:
        return str(error)


def _result(ray: Any, reference: Any) -> Any | str:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        return (
            f"its node or process was lost too often ({type(error).__name__}: {first_line(error)})"
        )


def _check_resources(ray: Any, cores: int, gpus: int) -> None:
    """Raise FlawmapError if no node has what a job needs: it would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= cores and node.get("GPU", 0) >= gpus for node in nodes):
        most = max((node.get("CPU", 0) for node in nodes), default=0)
        needed = f"{cores} cores" + (f" and {gpus} GPU" if gpus else "")
        raise FlawmapError(
            f"No node of the cluster has {needed} (the largest has {most:g} cores): lower --cores, "
            "or add nodes."
        )
