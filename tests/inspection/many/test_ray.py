"""Actors on a cluster of two nodes give what threads give, also after one node is lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap import FlawmapError
from flawmap.inspection.many import cluster as connection
from flawmap.inspection.many import ray_crew
from flawmap.inspection.many.worker import Task
from flawmap.inspection.output.parts import read_parts
from flawmap.inspection.record import InspectionRecord
from inspection.many.conftest import untimed

pytestmark = [pytest.mark.posix, pytest.mark.slow, pytest.mark.usefixtures("ray")]
HEAD = {"num_cpus": 1, "include_dashboard": False}


@pytest.fixture(scope="module")
def ray() -> Any:
    """Ray itself, which takes a second to import."""
    return pytest.importorskip("ray", reason="needs Ray (extra cluster)")


@pytest.fixture(scope="module")
def cluster(ray: Any) -> Iterator[Any]:
    """A cluster whose head offers one core, as does a second node, which tests may remove."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("PYTHONPATH", str(Path(flawmap.__file__).parents[1]))
        started = Cluster(initialize_head=True, head_node_args=HEAD)
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@pytest.fixture
def sixty(twelve: Path, tmp_path: Path) -> Path:
    """A list of sixty images, relative to the folder of the test."""
    path = tmp_path / "list.txt"
    path.write_text("".join(f"twelve/{n % 12}.png\n" for n in range(60)), encoding="utf-8")
    return path


def test_nodes_with_another_flawmap_or_none_are_named(
    ray: Any, cluster: Any, run_copy: Path, twelve: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "__version__", "9.9.9")
    with pytest.raises(FlawmapError, match=r"has flawmap 0\..*, and this machine 9\.9\.9"):
        flawmap.predict(run_copy, [twelve], on=cluster.address)
    monkeypatch.undo()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        with pytest.raises(FlawmapError, match=r"^Node .* has no flawless \(No module named"):
            connection._ask_nodes(ray, "flawless:__version__", None)
    finally:
        ray.shutdown()


def test_what_keeps_actors_from_working_is_the_error_of_the_call(
    cluster: Any, run_copy: Path, twelve: Path
) -> None:
    with pytest.raises(FlawmapError, match="No node of the Ray cluster offers GPU"):
        flawmap.predict(run_copy, [twelve], on=cluster.address, device="cuda")
    with pytest.raises(flawmap.UsageError, match="Unknown backend 'tensorrt'"):
        flawmap.predict(run_copy, [twelve], on=cluster.address, backend="tensorrt")


def test_what_ray_prints_is_not_among_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    with connection.own_output():
        for name in ("ray_listen_error_messages", "mine"):
            other = threading.Thread(target=print, args=[name], name=name)
            other.start()
            other.join()
    assert capsys.readouterr() == ("mine\n", "")


def test_an_actor_on_a_node_that_joins_later_has_the_same_version() -> None:
    actor = ray_crew.RemoteWorker(Task("run", {}), {}, ".")
    ((kind, (said, wrong_call)),) = actor.start("9.9.9")
    assert (kind, wrong_call) == ("failed", False)
    assert "and this machine 9.9.9" in said


def test_a_cluster_that_does_not_answer(run_copy: Path, twelve: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{free.getsockname()[1]}"
    begun = time.monotonic()
    with pytest.raises(FlawmapError, match=r"No Ray cluster answers at ray://127\.0\.0\.1"):
        flawmap.predict(run_copy, [twelve], on=address)
    assert time.monotonic() - begun < 10


def test_an_actor_dies_and_a_node_is_lost(
    ray: Any,
    cluster: Any,
    run_copy: Path,
    sixty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last test of the cluster: Ray takes a while to notice that a node is lost."""
    monkeypatch.chdir(tmp_path)
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    actors: list[Any] = []
    start = ray_crew.RayCrew.start

    def noting(crew: Any) -> int:
        number = start(crew)
        actors.append(crew._actors[number])
        return number

    monkeypatch.setattr(ray_crew.RayCrew, "start", noting)
    said: list[str] = []
    given: list[str | None] = []

    def disturb(record: InspectionRecord, total: int) -> None:
        given.append(record.path)
        if len(given) == 8:
            ray.kill(actors[0])
        if len(given) == 24:
            cluster.remove_node(node, allow_graceful=False)

    options: dict[str, Any] = {"lists": [sixty], "threads": 1}
    found = flawmap.predict(
        run_copy, on=cluster.address, parquet="results", show=disturb, say=said.append, **options
    )
    assert untimed(found) == untimed(flawmap.predict(run_copy, **options))
    stored = [one.model_copy(update={"path": str(tmp_path / (one.path or ""))}) for one in found]
    assert untimed(list(read_parts(tmp_path / "results"))) == untimed(stored)
    assert said == ["60 images by 2 actor(s) of a Ray cluster."]
    assert len(actors) > 2
    assert capsys.readouterr().out == ""
    assert not ray.is_initialized()
