"""Where images are inspected: by threads, processes, or a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from flawmap.errors import UsageError
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.hardware import available_cores

MANY = 200
"""Images from which ``auto`` takes processes: each needs about two seconds to start."""
_PER_WORKER = 16  # images for which another process is worth its start
_CHUNK = 16  # images handed to a worker at once
_ADDRESS = re.compile(r"(ray://)?(\[[0-9a-f:.]+\]|[^\s/:]+):\d{1,5}", re.IGNORECASE)

Kind = Literal["threads", "local", "ray"]


@dataclass(frozen=True)
class Place:
    """Kind of workers, how many (None: as the cluster has room), cores of each, Ray's address."""

    kind: Kind
    workers: int | None
    cores: int
    address: str | None = None


def is_cluster(on: str) -> bool:
    """Whether ``on`` is ``ray``, or the address of a cluster."""
    return on == "ray" or _ADDRESS.fullmatch(on) is not None


def check_on(on: str, workers: int | None) -> None:
    """Raise UsageError for an unknown place, or for a number of workers that it cannot have."""
    if on not in ("auto", "threads", "local") and not is_cluster(on):
        raise UsageError(f"--on {on}: give auto, threads, local, ray or ray://HOST:PORT.")
    if workers is not None and (workers < 1 or on == "threads"):
        raise UsageError(
            "--workers is a number of processes, 1 or more: give it with --on local or ray."
        )


def choose(on: str, workers: int | None, images: int, options: RuntimeOptions) -> Place:
    """Return the place for ``on``; ``auto`` takes processes if that is faster.

    That is so from :data:`MANY` images on, where there are several cores and a CPU runs the model
    with as many threads as it likes.
    """
    cores, threads = available_cores(), options.get("threads")
    on_cpu = options.get("device", "cpu").lower() == "cpu"
    if on == "auto":
        free = on_cpu and threads is None and cores > 1 and images >= MANY
        on = "local" if free or workers is not None else "threads"
    if on == "threads":
        return Place("threads", 1, cores)
    if on == "local":
        most = max(1, cores // (threads or 1)) if on_cpu else 1
        count = workers or max(1, min(most, images // _PER_WORKER))
        return Place("local", count, threads or max(1, cores // count))
    return Place("ray", workers, threads or 1, None if on == "ray" else on)


def chunk_size(images: int, workers: int, batch: int) -> int:
    """Return how many images a worker gets at once: a multiple of the batch, fewer if few."""
    fair = min(_CHUNK, -(-images // (4 * workers)))
    return max(1, -(-fair // batch)) * batch
