"""Workers on a Ray cluster: one actor for each core or GPU.

Ray Data's ``map_batches`` is not used: it repeats the batches of a lost node without a limit, so
that one image on which workers die stops everything, and neither the order of the records nor
the end of a part is its own. Plain actors, handed images by :class:`.schedule.Schedule`, have the
same guarantees as the processes of one machine.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flawmap import __version__
from flawmap.errors import FlawmapError
from flawmap.inspection.many.cluster import first_line, other_version
from flawmap.inspection.many.crew import LOST, Crew, Message
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.many.worker import Task, Worker, reporting
from flawmap.utils.files import make_folder

_SILENCE = 30.0  # seconds without any worker after which the user is told


class RemoteWorker:
    """Actor that loads the run from the bytes of its files, and then inspects chunks.

    Each method returns messages (kind, value). ``folder``: relative paths start there.
    """

    def __init__(self, task: Task, files: Mapping[str, bytes], folder: str) -> None:
        self._task, self._files, self._folder = task, files, folder
        self._messages: list[tuple[str, Any]] = []
        self._worker: Worker | None = None

    def start(self, version: str) -> list[tuple[str, Any]]:
        """Load the inspector; ``version``: of the caller's flawmap, which must be this one."""
        if version != __version__:  # on a node that joined after the others were checked
            where = f"Node {platform.node()}"
            return [("failed", [other_version(where, __version__, version), False])]
        with contextlib.suppress(OSError):  # this node has no such folder
            os.chdir(self._folder)
        with reporting(self._send), tempfile.TemporaryDirectory(prefix="flawmap-") as copied:
            for name, data in self._files.items():
                path = Path(copied) / name
                make_folder(path.parent)
                path.write_bytes(data)
            self._worker = Worker(replace(self._task, run=copied), self._send)
        self._files = {}
        return self._sent()

    def inspect(self, chunk: Sequence[tuple[int, Job]]) -> list[tuple[str, Any]]:
        """Inspect a chunk of images."""
        if self._worker is not None:
            with reporting(self._send):
                self._worker.inspect(chunk)
        return self._sent()

    def _send(self, kind: str, value: Any) -> None:
        self._messages.append((kind, value))

    def _sent(self) -> list[tuple[str, Any]]:
        sent, self._messages = self._messages, []
        return sent


class RayCrew(Crew):
    """Actors of ``cores`` cores each, and of a GPU if ``gpu``; as many as the cluster has room for.

    ``ray`` is the connected package, ``files`` the run's, which reach the nodes through Ray's
    object store. Nodes that join later are used in place of lost ones.
    """

    def __init__(
        self,
        ray: Any,
        task: Task,
        files: Mapping[str, bytes],
        size: int | None,
        cores: int,
        *,
        gpu: bool,
        say: Callable[[str], None],
    ) -> None:
        self._ray, self._task, self._say = ray, task, say
        self.size = size or self._room(cores, gpu)
        needs = {"num_cpus": cores, "num_gpus": int(gpu), "max_restarts": 0, "max_task_retries": 0}
        self._actor = ray.remote(**needs)(RemoteWorker)
        self._files = ray.put(dict(files))
        self._actors: dict[int, Any] = {}
        self._pending: dict[Any, int] = {}  # by answer: its worker
        self._numbers = itertools.count()
        self._heard = time.monotonic()

    def _room(self, cores: int, gpu: bool) -> int:
        there = self._ray.cluster_resources()
        room = int(there.get("GPU", 0) if gpu else there.get("CPU", 0) // cores)
        if not room:
            what = "GPU" if gpu else f"{cores} core(s)"
            raise FlawmapError(f"No node of the Ray cluster offers {what}. Start nodes that do.")
        return room

    def start(self) -> int:
        number = next(self._numbers)
        actor = self._actor.remote(self._task, self._files, str(Path.cwd()))
        self._actors[number] = actor
        self._pending[actor.start.remote(__version__)] = number
        return number

    def submit(self, worker: int, chunk: Sequence[tuple[int, Job]]) -> None:
        self._pending[self._actors[worker].inspect.remote(chunk)] = worker

    def wait(self) -> list[Message]:
        answers, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=1.0)
        if not answers:
            self._tell_if_silent()
            return []
        self._heard = time.monotonic()
        (answer,) = answers
        return self._messages(answer, self._pending.pop(answer))

    def _messages(self, answer: Any, worker: int) -> list[Message]:
        errors = self._ray.exceptions
        try:
            return [(worker, kind, value) for kind, value in self._ray.get(answer)]
        except errors.RayTaskError as error:  # before RayError, which it is
            cause = error.cause or error
            text = f"A worker of the Ray cluster failed: {type(cause).__name__}: "
            return [(worker, "failed", [text + first_line(cause), False])]
        except errors.RayError as error:
            return [self._lost(worker, error)]

    def _lost(self, worker: int, error: BaseException) -> Message:
        """Forget a worker that died with its node or alone; nothing else it sends is used."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actors.pop(worker))
        self._pending = {one: of for one, of in self._pending.items() if of != worker}
        return worker, LOST, first_line(error)

    def _tell_if_silent(self) -> None:
        if time.monotonic() - self._heard > _SILENCE:
            self._heard = time.monotonic()
            self._say("The Ray cluster has given no result for 30 s: its cores may be taken.")

    def close(self, *, finished: bool) -> list[Message]:
        for actor in self._actors.values():
            with contextlib.suppress(Exception):  # the cluster may be gone
                self._ray.kill(actor)
        self._actors, self._pending = {}, {}
        return []
