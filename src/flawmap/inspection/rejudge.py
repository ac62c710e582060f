"""``flawmap judge``: recompute verdicts from stored maps with the run's current settings."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import MAX_PIXELS
from flawmap.data.targets import LINES, check_target
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.graphs import calibration_of
from flawmap.inspection.bundle.manifest import run_id
from flawmap.inspection.inspector import Judge
from flawmap.inspection.output.lines import Line, json_lines, map_place, map_reference, read_lines
from flawmap.inspection.output.records import region_of, verdict_of
from flawmap.utils.files import read_regular

_WRITER = ("run", "precision", "backend")  # fields that identify the writer of a line
_HEADER_BYTES = 4096  # maximum, in a map's file


def judge(
    run: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    *,
    json_file: str | os.PathLike[str] | None = None,
    show: Callable[[dict[str, Any], int], None] = lambda line, total: None,
) -> list[dict[str, Any]]:
    """Re-judge the output of ``predict --out --json`` in ``predictions``; inspect no image.

    Uses the run's current thresholds, region and filters, in the precision in which each line was
    written. Map paths are relative to the folder of the lines. Returns and writes lines as
    ``predict`` does, without milliseconds; lines with an error stay unchanged. Raises FlawmapError
    if a line or its map was not written by ``predict``, or was written by another run.
    """
    check_target(json_file, LINES, inputs=[predictions], streamed=True)
    again = _Again(Path(run), Path(predictions), json_file)
    lines = list(read_lines(Path(predictions)))
    found = []
    with json_lines(json_file) as write:
        for number, line in lines:
            told = line if "error" in line else again(line, f"Line {number} of {predictions}")
            found.append(told)
            write(told)
            show(told, len(lines))
    return found


class _Again:
    """Judge for the lines of one file, with the settings of one run."""

    def __init__(self, run: Path, source: Path, target: str | os.PathLike[str] | None) -> None:
        self._run, self._source, self._target = run, source, target
        self._judge = Judge.load(run)
        self._judges: dict[tuple[str, str], Judge] = {}

    def __call__(self, line: Line, which: str) -> Line:
        try:
            stored = line["map"]
            height, width = (int(side) for side in stored["size"])
            place = map_place(str(stored["file"]), self._source)
            score = float(stored["score"])
            if min(height, width) < 1 or height * width > MAX_PIXELS or not np.isfinite(score):
                raise ValueError("no photograph's size or score")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FlawmapError(
                f"{which} names no map: predict again with --out and --json, then judge."
            ) from error
        found = _read_map(place, self._judge, (height, width))
        judge = self._of(line, which)
        seen = judge(found, score, (height, width))
        reference = stored["file"]
        if self._target is not None:
            reference = map_reference(place, self._target)
        return {
            "path": line["path"],
            **verdict_of(seen, judge.manifest.filters),
            **{name: line[name] for name in _WRITER},
            **region_of(judge.manifest),
            "map": {**stored, "file": reference},
        }

    def _of(self, line: Line, which: str) -> Judge:
        """Return the judge with the thresholds for the precision in which the line was written."""
        wrote, precision, backend = (str(line.get(name, "")) for name in _WRITER)
        mine = run_id(self._judge.manifest)
        if not wrote or not precision or not backend:
            raise FlawmapError(f"{which} does not say which run wrote it: predict again.")
        if wrote != mine:
            raise FlawmapError(
                f"{which} was written by another run ({wrote}), not by {self._run} ({mine}): give "
                "the run that wrote it, or predict again with this one."
            )
        if (precision, backend) not in self._judges:
            calibration = calibration_of(self._judge.manifest, precision, backend)
            if calibration is None:
                raise FlawmapError(
                    f"{which} was written in {precision} on {backend}, for which {self._run} has "
                    "no thresholds now: export it again, then judge."
                )
            manifest = self._judge.manifest.model_copy(update={"calibration": calibration})
            self._judges[precision, backend] = replace(self._judge, manifest=manifest)
        return self._judges[precision, backend]


def _read_map(path: Path, judge: Judge, photograph: tuple[int, int]) -> NDArray[np.float32]:
    """Read a map; its size is checked before anything is read or allocated."""
    height, width = judge.manifest.preprocessing.framing.layout(photograph).map_size
    try:
        data = read_regular(path, 4 * height * width + _HEADER_BYTES)
        shape, fortran, kind, start = _header(data)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _stranger(path) from error
        reason = error.strerror or error
        raise FlawmapError(f"Cannot read the map {path}: {reason}. Predict again.") from error
    except Exception as error:  # the header is Python code: its parser may raise anything
        told = " ".join(str(error).split())[:200]
        raise FlawmapError(f"Cannot read the map {path}: {told}. Predict again.") from error
    if shape == (height, width) and kind == np.float32 and not fortran:
        if len(data) - start != 4 * height * width:
            raise FlawmapError(f"Cannot read the map {path}: it was cut short. Predict again.")
        found = np.frombuffer(data, np.float32, offset=start).reshape(shape)
        if np.isfinite(found).all():
            return found
    raise _stranger(path)


def _stranger(path: Path) -> FlawmapError:
    return FlawmapError(f"{path} is no map of this run: predict again with it.")


def _header(data: bytes) -> tuple[tuple[int, ...], bool, Any, int]:
    """Return shape, order, type and start of the values; raise ValueError if it is not ``.npy``."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("not a map's kind of .npy")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    return shape, fortran, kind, file.tell()
