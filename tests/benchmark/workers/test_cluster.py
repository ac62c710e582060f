"""Jobs as tasks on a Ray cluster of one node; tests/inspection/many has one of two."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap.benchmark.grid import Grid
from flawmap.benchmark.run import bench
from flawmap.benchmark.workers.cluster import run_on_ray
from flawmap.benchmark.workers.commands import Commands
from flawmap.errors import FlawmapError, UsageError

TESTS = Path(__file__).resolve().parents[2]


def job(folder: Path, name: str, commands: Commands) -> dict[str, Any]:
    """Note the attempt; fail, or die the first time, as the name says."""
    attempts = folder / name
    with attempts.open("a", encoding="utf-8") as file:
        file.write("x")
    if name == "dies" and attempts.read_text(encoding="utf-8") == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "fails":
        raise FlawmapError("There is no such data.")
    time.sleep(0.2)
    return {"name": name, "threads": commands.threads}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="needs Ray (extra cluster)")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        paths = [str(Path(flawmap.__file__).parents[1]), str(TESTS)]
        environment.setenv("PYTHONPATH", os.pathsep.join(paths))
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 2, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.mark.slow
@pytest.mark.posix
def test_jobs_run_side_by_side_and_again_where_a_process_is_lost(cluster: Any, tmp_path: Path):
    import functools

    outcomes: dict[str, Any] = {}
    names = ["a", "b", "c", "dies", "fails"]
    run_on_ray(
        cluster.address, names, functools.partial(job, tmp_path), outcomes.__setitem__,
        cores=1, gpus=0,
    )  # fmt: skip
    assert outcomes["a"] == {"name": "a", "threads": 1}
    assert outcomes["dies"] == {"name": "dies", "threads": 1}
    assert outcomes["fails"] == "There is no such data."
    assert (tmp_path / "dies").read_text(encoding="utf-8") == "xx"
    with pytest.raises(FlawmapError, match=r"No node of the cluster has 64 cores.*--cores"):
        run_on_ray(cluster.address, names, job, outcomes.__setitem__, cores=64, gpus=0)


def test_a_cluster_that_is_not_there(tmp_path: Path):
    pytest.importorskip("ray", reason="needs Ray (extra cluster)")
    (tmp_path / "data" / "gear").mkdir(parents=True)
    grid = Grid(data=tmp_path / "data")
    with pytest.raises(FlawmapError, match=r"No Ray cluster answers at ray://127\.0\.0\.1:9"):
        bench(grid, tmp_path / "out", on="ray://127.0.0.1:9")
    with pytest.raises(UsageError, match="--work that all nodes see"):
        bench(grid, tmp_path / "out", on="ray", keep=True)
