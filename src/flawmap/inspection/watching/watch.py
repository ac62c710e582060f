"""``flawmap predict --watch``: inspect each image that a camera drops into a folder, once.

The folder is polled rather than watched by system notifications, which works on network drives too.
The file of records serves as the ledger: an image with a record in it is not inspected again.
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
from flawmap.inspection.decision import Inspection, Outcome, record_of
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.delivery import is_disk_error, unwritten
from flawmap.inspection.output.images import write_images
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.record import InspectionRecord
from flawmap.inspection.settings import LiveInspector
from flawmap.inspection.sources import real
from flawmap.inspection.watching.arrivals import Arrivals, Version
from flawmap.inspection.watching.ledger import Ledger, with_version
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder, sweep_below
from flawmap.utils.signals import undisturbed

_PATIENCE = 5.0  # seconds an unreadable image may stay unchanged before it counts as broken
_RETRY = 0.5  # seconds until an unreadable image is read again
_SHORTEST = 0.005  # seconds between two checks of the folder, at least
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
    show: Callable[[InspectionRecord, int], None] = lambda record, total: None,
    say: Callable[[str], None] = _LOG.warning,
    **runtime: Unpack[RuntimeOptions],
) -> int:
    """Inspect every image in ``folder`` and each one that arrives, until ``stop()`` is true.

    An image is inspected once it has not changed for ``settle`` seconds, and again if it is
    rewritten. ``json_file`` gets a record per image, as from ``predict``, with ``bytes`` and
    ``modified_ns`` of the image; images with a record from an earlier call are done. ``out``: as
    for ``predict``. ``poll``: seconds between two checks of the folder. Changed settings of the run
    are used from then on, and ``say`` gets a line; it also gets one for each reason for which files
    are not inspected. Returns the number of inspected images. Raises UsageError if the folder does
    not exist, FlawmapError if another process writes to ``json_file`` or a disk is full.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UsageError(f"No such folder: {place}. Give the folder that the camera writes to.")
    if json_file is None or str(json_file) == "-":  # an untyped caller may pass None
        raise UsageError("--watch needs a --json file, which records the images that are done.")
    check_folder(out)
    check_target(json_file, LINES, inputs=[out], streamed=True)
    written = None if out is None else real(make_folder(Path(out)))
    if written == real(place):
        raise UsageError(f"{place} is both watched and --out: give another folder as --out.")
    if written is not None:
        check_writable(written)
        sweep_below(written)
    live = LiveInspector(Path(run), runtime, say)
    count = 0
    with Ledger(Path(json_file), written) as ledger:
        arrivals = Arrivals(place, ledger.done, settle, written)
        worker = _Worker(arrivals, ledger, place, written, json_file, show)
        while not stop():
            live.refresh()
            arrivals.update()
            for line in arrivals.left_out():
                say(line)
            before = count
            for _ in worker.inspect(live.now, arrivals.ready(_TOGETHER)):
                count += 1
                if stop():
                    break
            if count == before:
                time.sleep(max(_SHORTEST, arrivals.pause(poll)))
    return count


class _Worker:
    """Inspection of images, and output of each record once its images are written."""

    def __init__(
        self,
        arrivals: Arrivals,
        ledger: Ledger,
        place: Path,
        written: Path | None,
        lines: str | os.PathLike[str],
        show: Callable[[InspectionRecord, int], None],
    ) -> None:
        self._arrivals, self._ledger, self._place = arrivals, ledger, place
        self._written, self._lines, self._show = written, lines, show

    def inspect(self, inspector: Inspector, ready: Sequence[Version]) -> Iterator[InspectionRecord]:
        """Yield the record of each image, already in the ledger and shown.

        A failed image may still be incomplete: it is retried until it has not changed for some
        seconds.
        """
        paths = [Path(version[0]) for version in ready]
        keep = self._written is not None
        with contextlib.closing(inspect_files(inspector, paths, keep_images=keep)) as results:
            for version, result in zip(ready, results, strict=True):
                if record_of(result).failed and self._arrivals.age(version) < _PATIENCE:
                    self._arrivals.later(version, _RETRY)
                    continue
                record = with_version(self._record(result, version[0], inspector), version)
                with undisturbed():  # a record in the ledger is also shown
                    self._ledger.add(record)
                    self._arrivals.finish(version)
                    self._show(record, 0)
                yield record

    def _record(self, result: Outcome, path: str, inspector: Inspector) -> InspectionRecord:
        """Write the images of a result, and return its record."""
        if self._written is None or not isinstance(result, Inspection):
            return record_of(result)
        place = self._written / self._ledger.name(path, self._place)
        try:
            return write_images(place, result, inspector.manifest, self._lines)
        except (FlawmapError, OSError, MemoryError) as error:
            if is_disk_error(error):
                raise
            return unwritten(result.record, error)
