"""Worker processes on this machine."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict

from flawmap.errors import FlawmapError
from flawmap.inspection.many.crew import LOST, Crew, Message
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.many.worker import Task

# As multiprocessing does: the folders of modules are those of this process. -P (below) keeps
# modules in the current folder from hiding those of Python.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flawmap.inspection.many.process import main; main()"
)
_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 10.0  # seconds in which a worker may end by itself


class LocalCrew(Crew):
    """Processes that each load the inspector and use ``threads`` cores.

    They do not see Ctrl-C, which their parent handles, and end with it, however it ends.
    """

    def __init__(self, task: Task, size: int, threads: int) -> None:
        self.size = size
        self._task = json.dumps(asdict(task)) + "\n"
        self._environment = os.environ | dict.fromkeys(_THREADS, str(threads))
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []
        self._numbers = itertools.count()

    def start(self) -> int:
        number = next(self._numbers)
        command = [sys.executable, "-P", "-c", _START, json.dumps(sys.path)]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                encoding="ascii", env=self._environment,
                start_new_session=True, creationflags=_OWN_GROUP,  # Ctrl-C does not reach it
            )  # fmt: skip
        except OSError as error:
            raise FlawmapError(f"Cannot start a process: {error.strerror or error}.") from error
        self._processes[number] = process
        reader = threading.Thread(target=self._read, args=(number, process), daemon=True)
        reader.start()
        self._readers.append(reader)
        self._write(number, self._task)
        return number

    def submit(self, worker: int, chunk: Sequence[tuple[int, Job]]) -> None:
        self._write(worker, json.dumps(chunk) + "\n")

    def _write(self, number: int, line: str) -> None:
        stdin = self._processes[number].stdin
        assert stdin is not None
        with contextlib.suppress(OSError):  # it has ended: a message says so
            stdin.write(line)
            stdin.flush()

    def _read(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # cut short by the end of the process
                kind, value = json.loads(line)
                self._messages.put((number, kind, value))
        process.stdout.close()
        self._messages.put((number, LOST, _end_of(process.wait())))

    def wait(self) -> list[Message]:
        try:
            found = [self._messages.get(timeout=1.0)]
        except queue.Empty:
            return []
        return found + self._waiting()

    def _waiting(self) -> list[Message]:
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._messages.get_nowait())
        return found

    def close(self, *, finished: bool) -> list[Message]:
        processes = self._processes.values()
        for process in processes:
            if not finished:
                process.terminate()
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
        for process in processes:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for reader in self._readers:
            reader.join()
        return self._waiting()


def _end_of(status: int) -> str:
    return f"it was killed by signal {-status}" if status < 0 else f"its exit status is {status}"
