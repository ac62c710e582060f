"""Run a grid: train and evaluate each cell in separate processes, and store the results."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flawmap.benchmark.grid import Cell, Grid, read_grid
from flawmap.benchmark.provenance import provenance
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, SETTINGS, WEIGHTS, read_manifest
from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.utils.files import OURS, foreign, make_folder, write_json

_MARKER = f"{OURS}bench.json"
_METRICS, _PEAK = "figures.json", "peak_mb.json"
_MADE = (MANIFEST, SETTINGS, GRAPH, WEIGHTS, TRAINING_LOG, _METRICS, _PEAK)
_FLAWMAP = [sys.executable, "-m", "flawmap"]


def bench(
    grid: Grid | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    work: str | os.PathLike[str] | None = None,
    keep: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Measure every run of a grid, or of its YAML file, that has no result in ``out`` yet.

    Writes one JSON file per run. Runs train in ``work`` (default ``out/runs``), so that a stopped
    bench resumes where it was; ``keep`` leaves the inspectors there. Failed cells are named at
    the end, after all others were measured. Returns the files of all cells. Raises FlawmapError
    if a cell failed, UsageError if the grid is invalid or a result in ``out`` was made with other
    options.
    """
    cells = (grid if isinstance(grid, Grid) else read_grid(Path(grid))).cells()
    results = make_folder(Path(out))
    runs = make_folder(Path(work) if work else results / "runs")
    waiting = [cell for cell in cells if not _is_there(results / f"{cell.name}.json", cell)]
    if len(waiting) < len(cells):
        say(f"{len(cells) - len(waiting)} of {len(cells)} are already measured.")
    failed = []
    for count, cell in enumerate(waiting, 1):
        say(f"{count} of {len(waiting)}: {cell.name}")
        try:
            _claim(runs / cell.run, cell)
            write_json(results / f"{cell.name}.json", measure(cell, runs / cell.run))
        except FlawmapError as error:
            say(f"{cell.name}: {error}")
            failed.append(cell.name)
        else:
            if not keep and all(later.run != cell.run for later in waiting[count:]):
                _remove(runs / cell.run)
    if failed:
        raise FlawmapError(
            f"{len(failed)} of {len(cells)} failed: {', '.join(failed)}. "
            "Their messages are above; the same command tries them again."
        )
    return [results / f"{cell.name}.json" for cell in cells]


def _is_there(path: Path, cell: Cell) -> bool:
    if not path.is_file():
        return False
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        made = {key: stored[key] for key in _stored_settings(cell)}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a bench result: move it away.") from error
    if made != _stored_settings(cell):
        raise UsageError(f"{path} was made with other options: give another --out.")
    return True


def _claim(run: Path, cell: Cell) -> None:
    """Mark a new folder as this bench's; FlawmapError if it is foreign or has other options."""
    marker = run / _MARKER
    trained = _stored_settings(cell) | {"distances": ()}
    trained = json.loads(json.dumps({"data": str(cell.data.resolve()), **trained}))
    if not marker.exists():
        if run.exists() and foreign(run):
            raise FlawmapError(f"{run} was not made by a bench: give another --work.")
        write_json(make_folder(run) / _MARKER, trained)
    try:
        begun = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FlawmapError(f"{marker} is damaged: remove {run}, or give another --work.") from error
    if begun != trained:
        raise FlawmapError(
            f"{run} was started with other options: remove it, or give another --work."
        )


def _remove(run: Path) -> None:
    """Delete the files that a bench made in ``run``; keep all others."""
    for name in (*_MADE, _MARKER):
        (run / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run.rmdir()


def _stored_settings(cell: Cell) -> dict[str, Any]:
    """Options, changes and read-out as stored in a result file."""
    options = {"options": cell.options.model_dump(mode="json")}
    return options | cell.what.model_dump(mode="json")


def measure(cell: Cell, run: Path) -> dict[str, Any]:
    """Train one cell in the folder ``run``, unless that is done, and evaluate it.

    Returns the object of its result file. ``peak_mb`` is the training process's peak memory, None
    if the system does not report it; ``milliseconds`` the median per image in ``evaluate``, from
    decoding to verdict. In ``command`` the folder is called RUN.
    """
    train = ["train", str(cell.data), "--out", str(run), "--method", cell.method]
    train += ["--preset", cell.preset, "--teacher", cell.teacher, "--seed", str(cell.seed)]
    train += cell.options.arguments()
    for key, value in cell.what.changes.items():
        train += ["--set", f"{key}={json.dumps(value)}"]
    metrics_file = run / _METRICS
    evaluate = ["evaluate", str(run), str(cell.data)]
    if cell.what.distances:
        evaluate += ["--distances", ",".join(map(str, cell.what.distances))]
    peak = _train([*train, "--resume"], run)
    start = time.monotonic()
    _flawmap([*evaluate, "--json", str(metrics_file)])
    evaluated = round(time.monotonic() - start, 1)
    manifest = read_manifest(run)
    training = manifest.training.model_dump(
        mode="json", exclude={"trained_on", "set_aside", "folder"}
    )
    phases = phase_seconds(read_log(run / TRAINING_LOG))
    return {
        "method": manifest.method,
        "preset": manifest.preset,
        "variant": cell.variant,
        "teacher": cell.teacher
        if cell.teacher == manifest.teacher.name
        else Path(cell.teacher).stem,
        "dataset": cell.dataset,
        "category": cell.category,
        "seed": cell.seed,
        "device": manifest.training.device,
        **provenance(_command_text((train, evaluate), run)),
        "figures": json.loads(metrics_file.read_text(encoding="utf-8")),
        "seconds": {**manifest.training.seconds, **phases, "evaluate": evaluated},
        "peak_mb": peak,
        "milliseconds": None
        if cell.what.distances
        else (manifest.metrics or {}).get("milliseconds"),
        **_stored_settings(cell),
        "training": training,
        "parity": manifest.parity.model_dump(mode="json"),
        "configuration": manifest.configuration,
    }


def _train(command: Sequence[str], run: Path) -> int | None:
    """Train unless done; return the training's peak memory in MB, kept in a file of the run."""
    note = run / _PEAK
    done = (run / MANIFEST).is_file()
    peak = _flawmap(command)
    if not done:
        write_json(note, peak)
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, int) else None


def _command_text(commands: Sequence[Sequence[str]], run: Path) -> str:
    """Format command lines with RUN in place of the run folder, which is removed afterwards."""
    lines = [["RUN" if word == str(run) else word for word in words] for words in commands]
    return " && ".join(shlex.join(["flawmap", *words]) for words in lines)


def phase_seconds(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Duration in seconds of each training phase, from the log."""
    ends: dict[str, float] = {}
    for line in lines:
        ends[f"train_{line['phase']}"] = float(line["seconds"])
    starts = [0.0, *ends.values()]
    return {k: round(end - start, 1) for (k, end), start in zip(ends.items(), starts, strict=False)}


def _flawmap(words: Sequence[str]) -> int | None:
    """Run a command to its end; return its peak memory in MB, None if the system has no wait4."""
    process = subprocess.Popen([*_FLAWMAP, *words], stdout=subprocess.DEVNULL)
    peak = None
    try:
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
        else:
            process.wait()
    except BaseException:
        process.terminate()  # training then saves a checkpoint
        process.wait()
        raise
    if process.returncode:
        raise FlawmapError(f"flawmap {words[0]} ended with status {process.returncode}.")
    return peak
