"""``flawmap judge``: recompute verdicts from stored maps with the run's current settings."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import MAX_PIXELS, ImageError
from flawmap.data.targets import LINES, check_target
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import run_id
from flawmap.inspection.bundle.models import calibration_of
from flawmap.inspection.decision import ImageInfo, PostProcessor
from flawmap.inspection.output.lines import json_lines, map_place, map_reference, read_lines
from flawmap.inspection.record import InspectionRecord, StoredMap
from flawmap.inspection.tiled import RawPrediction
from flawmap.utils.files import read_regular

_HEADER_BYTES = 4096  # maximum, in a map's file


def judge(
    run: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    *,
    json_file: str | os.PathLike[str] | None = None,
    show: Callable[[InspectionRecord, int], None] = lambda record, total: None,
) -> list[InspectionRecord]:
    """Re-judge the output of ``predict --out --json`` in ``predictions``; inspect no image.

    Uses the run's current thresholds, region and filters, in the precision of each record. Map
    paths are relative to the folder of the lines. Returns and writes records as ``predict`` does,
    without milliseconds; records with an error stay unchanged, and an image whose shape is unlike
    the region's gets one. Raises FlawmapError if a line or its map was not written by ``predict``,
    or was written by another run, or if a later inspection replaced the map.
    """
    check_target(json_file, LINES, inputs=[predictions], streamed=True)
    decide_again = _Rejudge(Path(run), Path(predictions), json_file)
    lines = list(read_lines(Path(predictions)))
    records = []
    with json_lines(json_file) as write:
        for number, before in lines:
            record = before
            if not before.failed:
                record = decide_again(before, f"Line {number} of {predictions}")
            records.append(record)
            write(record)
            show(record, len(lines))
    return records


class _Rejudge:
    """Decision on the records of one file, with the settings of one run."""

    def __init__(self, run: Path, source: Path, target: str | os.PathLike[str] | None) -> None:
        self._run, self._source, self._target = run, source, target
        self._current = PostProcessor.load(run)
        self._by_precision: dict[tuple[str, str], PostProcessor] = {}

    def __call__(self, record: InspectionRecord, which: str) -> InspectionRecord:
        stored = record.map
        if stored is None or stored.size[0] * stored.size[1] > MAX_PIXELS:
            raise FlawmapError(
                f"{which} names no usable map: predict again with --out and --json, then judge."
            )
        post_process = self._of(record, which)
        place = map_place(stored.file, self._source)
        anomaly_map = _read_map(place, post_process, stored, which)
        image = ImageInfo(stored.size, record.path, record.image)
        prediction = RawPrediction(anomaly_map, stored.score)
        version = {"bytes": record.bytes, "modified_ns": record.modified_ns}
        try:
            judged = post_process(prediction, image, record.provenance).record
        except ImageError as error:
            why = str(error)
            failed = post_process.failed(record.path, record.image, why, record.provenance)
            return failed.model_copy(update=version)
        moved = {"milliseconds": None, "map": self._moved(stored, place)}
        return judged.model_copy(update=moved | version)

    def _moved(self, stored: StoredMap, place: Path) -> StoredMap:
        """Return the reference to a map relative to the new file of lines."""
        if self._target is None:
            return stored
        return stored.model_copy(update={"file": map_reference(place, self._target)})

    def _of(self, record: InspectionRecord, which: str) -> PostProcessor:
        """Return the settings with the thresholds for the precision of a record."""
        precision, backend = record.precision, record.backend
        current = run_id(self._current.manifest)
        if record.run != current:
            raise FlawmapError(
                f"{which} was written by another run ({record.run}), not by {self._run} "
                f"({current}): give the run that wrote it, or predict again with this one."
            )
        if (precision, backend) not in self._by_precision:
            calibration = calibration_of(self._current.manifest, precision, backend)
            if calibration is None:
                raise FlawmapError(
                    f"{which} was written in {precision} on {backend}, for which {self._run} has "
                    "no thresholds now: export it again, then judge."
                )
            manifest = self._current.manifest.model_copy(update={"calibration": calibration})
            self._by_precision[precision, backend] = replace(self._current, manifest=manifest)
        return self._by_precision[precision, backend]


def _read_map(
    path: Path, settings: PostProcessor, stored: StoredMap, which: str
) -> NDArray[np.float32]:
    """Read a map; its size is checked before anything is read or allocated."""
    height, width = settings.manifest.preprocessing.framing.layout(stored.size).map_size
    try:
        data = read_regular(path, 4 * height * width + _HEADER_BYTES)
        shape, fortran, kind, start = _header(data)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _foreign(path) from error
        reason = error.strerror or error
        raise FlawmapError(f"Cannot read the map {path}: {reason}. Predict again.") from error
    except Exception as error:  # the header is Python code: its parser may raise anything
        reason = " ".join(str(error).split())[:200]
        raise FlawmapError(f"Cannot read the map {path}: {reason}. Predict again.") from error
    if shape == (height, width) and kind == np.float32 and not fortran:
        if len(data) - start != 4 * height * width:
            raise FlawmapError(f"Cannot read the map {path}: it was cut short. Predict again.")
        anomaly_map = np.frombuffer(data, np.float32, offset=start).reshape(shape)
        if np.isfinite(anomaly_map).all():
            if stored.sha256 not in (None, hashlib.sha256(data).hexdigest()):
                raise FlawmapError(
                    f"{which}: its map {path} was replaced by that of a later image: predict "
                    "again, or remove the line."
                )
            return anomaly_map
    raise _foreign(path)


def _foreign(path: Path) -> FlawmapError:
    return FlawmapError(f"{path} is not a map of this run: predict again with this run.")


def _header(data: bytes) -> tuple[tuple[int, ...], bool, Any, int]:
    """Return shape, order, type and start of the values; raise ValueError if it is not ``.npy``."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("its .npy version is not 1.0")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    return shape, fortran, kind, file.tell()
