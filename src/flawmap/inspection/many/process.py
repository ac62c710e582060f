"""A worker process: chunks of images arrive on standard input, results leave on standard output.

Both are lines of JSON, so that nothing is pickled, and the program that called ``predict`` is not
imported again as ``multiprocessing`` would.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from flawmap.inspection.many.jobs import Job
from flawmap.inspection.many.worker import Send, Task, Worker, reporting
from flawmap.utils.signals import stopped_by_signals


def main() -> None:
    """Work until standard input ends, which it also does if the parent process is killed."""
    try:
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError), stopped_by_signals():
            send = _sender(_own_output())
            with reporting(send):
                work(sys.stdin, send)
    except SystemError as error:  # a signal while compiled code called Python
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise


def work(lines: Iterable[str], send: Send) -> None:
    """Read the task from the first line, and a chunk from each following one."""
    waiting = iter(lines)
    worker = Worker(Task(**json.loads(next(waiting))), send)
    for line in waiting:
        chunk = json.loads(line)
        worker.inspect([(i, Job(source, name, tuple(more))) for i, (source, name, more) in chunk])


def _own_output() -> TextIO:
    """Return standard output, and let everything else that prints there print to standard error."""
    output = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)
    return output


def _sender(output: TextIO) -> Send:
    lock = threading.Lock()  # decoding threads send notes

    def send(kind: str, value: Any) -> None:
        with lock:
            output.write(json.dumps([kind, value]) + "\n")
            output.flush()

    return send
