"""Connection to a Ray cluster (extra ``cluster``), and the checks of its nodes."""

from __future__ import annotations

import contextlib
import io
import os
import pkgutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO, cast

from flawmap import __version__
from flawmap.errors import FlawmapError
from flawmap.utils.extras import need

_SECONDS = 5.0  # to reach the head node
_PROBE_SECONDS = 60.0  # to start a process on each node
_INSTALL = f"pip install 'flawmap[cluster]=={__version__}'"


@contextlib.contextmanager
def connected(address: str | None, cores: int | None) -> Iterator[Any]:
    """Connect to the cluster at an address, or start one of ``cores`` here; yield ``ray``.

    A connection that the program has already is used, and left open. Raises FlawmapError if Ray is
    not installed or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    ray = need("ray", "--on ray", "cluster")
    if ray.is_initialized():
        yield ray
        return
    if address is not None:
        _check_reachable(address)
    options = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        options["address"] = address
    try:
        with _own_signals():
            ray.init(**options)
    except Exception as error:  # it raises many kinds
        if address is None:
            raise FlawmapError(f"Cannot start Ray here: {first_line(error)}") from error
        raise FlawmapError(
            f"Cannot join the Ray cluster at {address}: {first_line(error)}. Check that Python and "
            "Ray have its versions, and RAY_AUTH_MODE and RAY_AUTH_TOKEN if it asks for a token."
        ) from error
    try:
        with own_output():
            yield ray
    finally:
        # the cluster may be gone; and it prints once more what its threads printed
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            ray.shutdown()


@contextlib.contextmanager
def own_output() -> Iterator[None]:
    """Keep what Ray's threads print from standard output, where records may go.

    They print 20 lines of a log for each lost node, whatever ``log_to_driver`` is.
    """
    with contextlib.redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        yield


class _WithoutRay:
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._nowhere = stream, io.StringIO()

    def __getattr__(self, name: str) -> Any:
        rays = threading.current_thread().name.startswith("ray_")
        return getattr(self._nowhere if rays else self._stream, name)


def _check_reachable(address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise FlawmapError(
            f"No Ray cluster answers at {address} ({reason or error}). Check the address: "
            "ray://HOST:10001 from outside a cluster, HOST:6379 on one of its nodes."
        ) from error


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which ``ray.init`` replaces."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def check_nodes(ray: Any, *, urls: bool) -> None:
    """Raise FlawmapError unless every node with cores has this version of flawmap.

    ``urls``: they need fsspec, too. The probe is a function of Python's own, so that it runs
    where flawmap is missing.
    """
    _ask_nodes(ray, "flawmap:__version__", __version__)
    if urls:
        _ask_nodes(ray, "fsspec:__version__", None)


def _ask_nodes(ray: Any, name: str, wanted: str | None) -> None:
    on_node = need("ray.util.scheduling_strategies", "--on ray", "cluster")
    probe = ray.remote(num_cpus=0, max_retries=0)(pkgutil.resolve_name)
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):
            place = on_node.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[node["NodeManagerAddress"], node["NodeID"][:6]] = probe.options(
                scheduling_strategy=place
            ).remote(name)
    for (host, node_id), answer in asked.items():
        where = f"Node {host} ({node_id})"
        try:
            found = ray.get(answer, timeout=_PROBE_SECONDS)
        except ray.exceptions.RayTaskError as error:
            package = name.partition(":")[0]
            reason = first_line(error.cause or error)
            raise FlawmapError(f"{where} has no {package} ({reason}): {_INSTALL}") from error
        except ray.exceptions.GetTimeoutError as error:
            seconds = f"{_PROBE_SECONDS:.0f} s"
            raise FlawmapError(
                f"{where} of the Ray cluster gave no answer in {seconds}."
            ) from error
        except ray.exceptions.RayError:  # it was lost a moment ago
            continue
        if wanted is not None and found != wanted:
            raise FlawmapError(other_version(where, found, wanted))


def other_version(where: str, there: str, here: str) -> str:
    """Say that a node has another version of flawmap than the machine that calls."""
    return f"{where} has flawmap {there}, and this machine {here}: install the same on both."


def first_line(error: BaseException) -> str:
    """Return what an error of Ray says in one line; its texts may hold whole tracebacks."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
