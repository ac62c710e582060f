"""``flawmap predict --watch``: inspect each image that a camera drops into a folder, once.

The folder is polled rather than watched by system notifications, which works on network drives too.
The JSON lines serve as the record: an image with a line in them is not inspected again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

from flawmap.data.targets import LINES, check_folder, check_target
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.delivery import is_disk_error, unwritten_line
from flawmap.inspection.output.lines import Line
from flawmap.inspection.output.records import line_of, write_pictures
from flawmap.inspection.pipeline import Inspected, inspect_files
from flawmap.inspection.predict import Prediction
from flawmap.inspection.settings import LiveInspector
from flawmap.inspection.sources import real
from flawmap.inspection.watching.arrivals import Arrivals, Version
from flawmap.inspection.watching.ledger import Ledger
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder, sweep_below
from flawmap.utils.signals import undisturbed

_PATIENCE = 5.0  # seconds an unreadable image may stay unchanged before it counts as broken
_RETRY = 0.5  # seconds until an unreadable image is read again
_SHORTEST = 0.005  # seconds between two looks, at least
_TOGETHER = 32  # images between two checks of folder and settings
_LOG = logging.getLogger("flawmap")


def watch(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    json_file: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    poll: float = 0.2,
    settle: float = 0.4,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Prediction, int], None] = lambda prediction, total: None,
    say: Callable[[str], None] = _LOG.warning,
    **runtime: Unpack[RuntimeOptions],
) -> int:
    """Inspect every image in ``folder`` and each one that arrives, until ``stop()`` is true.

    An image is inspected once it has not changed for ``settle`` seconds, and again if it is
    rewritten. ``json_file`` gets a line per image, as from ``predict``, with ``bytes`` and
    ``modified_ns`` of the image; images with a line from an earlier call are done. ``out``: as for
    ``predict``. ``poll``: seconds between two looks. Changed settings of the run are used from
    then on, and ``say`` gets a line. Returns the number of inspected images. Raises UsageError if
    the folder does not exist, FlawmapError if another process writes to ``json_file`` or a disk is
    full.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UsageError(f"No such folder: {place}. Give the one that images are dropped into.")
    if json_file is None or str(json_file) == "-":  # an untyped caller may pass None
        raise UsageError("Watching takes a file for its lines, which remembers what is done.")
    check_folder(out)
    check_target(json_file, LINES, inputs=[out], streamed=True)
    written = None if out is None else real(make_folder(Path(out)))
    if written == real(place):
        raise UsageError(f"{place} is watched: give another folder as --out.")
    if written is not None:
        check_writable(written)
        sweep_below(written)
    live = LiveInspector(Path(run), runtime, say)
    count = 0
    with Ledger(Path(json_file)) as ledger:
        arrivals = Arrivals(place, ledger.done, settle, written)
        line_up = _LineUp(arrivals, ledger, place, written, json_file, show)
        while not stop():
            live.refresh()
            arrivals.look()
            before = count
            for _ in line_up.inspect(live.now, arrivals.ready(_TOGETHER)):
                count += 1
                if stop():
                    break
            if count == before:
                time.sleep(max(_SHORTEST, arrivals.pause(poll)))
    return count


class _LineUp:
    """Inspection of images, and output of each line once its images are written."""

    def __init__(
        self,
        arrivals: Arrivals,
        ledger: Ledger,
        place: Path,
        written: Path | None,
        lines: str | os.PathLike[str],
        show: Callable[[Prediction, int], None],
    ) -> None:
        self._arrivals, self._ledger, self._place = arrivals, ledger, place
        self._written, self._lines, self._show = written, lines, show

    def inspect(self, inspector: Inspector, ready: Sequence[Version]) -> Iterator[Line]:
        """Yield the line of each image, already in the ledger and shown. A failed image may still
        be incomplete: it is retried until it has not changed for some seconds."""
        paths = [Path(version[0]) for version in ready]
        pictures = self._written is not None
        with contextlib.closing(inspect_files(inspector, paths, photographs=pictures)) as results:
            for version, result in zip(ready, results, strict=True):
                if result.error is not None and self._arrivals.age(version) < _PATIENCE:
                    self._arrivals.later(version, _RETRY)
                    continue
                line = self._line(result, inspector)
                with undisturbed():  # a line in the ledger is also shown
                    self._ledger.add(version, line)
                    self._arrivals.finish(version)
                    told = line | {"bytes": version[1], "modified_ns": version[2]}
                    self._show(Prediction(told), 0)
                yield told

    def _line(self, result: Inspected, inspector: Inspector) -> Line:
        if self._written is None or result.inspection is None:
            return line_of(result, inspector, None, self._lines)
        name = Path(self._ledger.name(str(result.path))).relative_to(self._place)
        try:
            write_pictures(self._written / name, result, inspector)
        except (FlawmapError, OSError, MemoryError) as error:
            if is_disk_error(error):
                raise
            return unwritten_line(result.path, error, inspector)
        return line_of(result, inspector, self._written / name, self._lines)
