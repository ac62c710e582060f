"""``flawmap judge``: verdicts anew from stored maps, by the inspector's settings of today."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import FlawmapError
from flawmap.inspector.inspector import Judge
from flawmap.inspector.output import json_lines, verdict_of


def judge(
    run: str | os.PathLike[str],
    predictions: str | os.PathLike[str],
    *,
    json_file: str | os.PathLike[str] | None = None,
    show: Callable[[dict[str, Any], int], None] = lambda line, total: None,
) -> list[dict[str, Any]]:
    """Judge again what ``predict --out --json`` wrote to ``predictions``; no image is inspected.

    Thresholds, region and filters are those that the run has now, so the maps must be of the same
    run. Returns and writes lines as ``predict`` does, without milliseconds; a line with an error
    stays as it is. Raises FlawmapError where a line or its map is not what ``predict`` wrote.
    """
    judge = Judge.load(Path(run))
    lines = list(_read(Path(predictions)))
    found = []
    with json_lines(json_file) as write:
        for number, line in enumerate(lines, 1):
            told = line if "error" in line else _judged(judge, line, f"Line {number}", predictions)
            found.append(told)
            write(told)
            show(told, len(lines))
    return found


def _judged(
    judge: Judge, line: dict[str, Any], which: str, source: str | os.PathLike[str]
) -> dict[str, Any]:
    try:
        stored = line["map"]
        height, width = (int(side) for side in stored["size"])
        path, score = Path(stored["file"]), float(stored["score"])
        if min(height, width) < 1:
            raise ValueError("a photograph without pixels")
    except (KeyError, TypeError, ValueError) as error:
        raise FlawmapError(
            f"{which} of {source} names no map: predict again with --out and --json, then judge."
        ) from error
    seen = judge(_read_map(path, judge, (height, width)), score, (height, width))
    return {"path": line["path"], **verdict_of(seen, judge.manifest.filters), "map": stored}


def _read_map(path: Path, judge: Judge, photograph: tuple[int, int]) -> NDArray[np.float32]:
    try:
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise FlawmapError(f"Cannot read the map {path}: {error}. Predict again.") from error
    layout = judge.manifest.preprocessing.framing.layout(photograph)
    if found.shape != layout.map_size or found.dtype != np.float32:
        raise FlawmapError(f"{path} is no map of this run: predict again with it.")
    return found


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FlawmapError(f"Cannot read {path}: {error}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise FlawmapError(f"Line {number} of {path} is no JSON: {error}.") from error
        if not isinstance(value, dict) or "path" not in value:
            raise FlawmapError(f"Line {number} of {path} is none that predict --json wrote.")
        yield value
