"""Connect to a Ray cluster, or start one on this machine (extra ``cluster``)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from flawmap.errors import FlawmapError, UsageError
from flawmap.utils.hardware import available_cores

_SECONDS = 5.0  # to reach a cluster


@contextlib.contextmanager
def connected_ray(on: str) -> Iterator[Any]:
    """Yield the module ``ray``, connected; disconnect at the end.

    ``on``: ``ray`` starts a cluster on this machine, unless ``RAY_ADDRESS`` names one;
    ``ray://HOST:PORT`` joins one through its client port, ``HOST:PORT`` directly. A connection that
    the caller has made is used and kept. Raises FlawmapError if Ray is not installed or the cluster
    cannot be reached, UsageError for another ``on``.
    """
    if find_spec("ray") is None:
        raise FlawmapError("Ray is not installed: pip install 'flawmap[cluster]'")
    import ray

    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS") if on == "ray" else on
    if address is not None:
        _check_reachable(address)
    given: dict[str, Any] = {"address": address} if address else {"num_cpus": available_cores()}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=None, **given)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FlawmapError(
            f"Cannot connect to the Ray cluster {address or ''}: {reason}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise UsageError(
            f"{address} is no cluster: give ray, or an address such as ray://host:10001."
        )
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise FlawmapError(
            f"No Ray cluster answers at {address} ({error}): check the address, and that "
            "`ray start --head` runs there."
        ) from error
