"""Run a grid: train and evaluate each cell in processes of its own, and keep what came out."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flawmap.benchmark.grid import Cell, Grid, read_grid
from flawmap.benchmark.provenance import provenance
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import make_folder, write_json
from flawmap.inspector.manifest import read_manifest
from flawmap.training_log import read_log

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

    One JSON file each. Runs stand in ``work`` (``out/runs``) while they train, so that a bench
    that was stopped goes on where it was; ``keep`` leaves the inspectors there. A cell that fails
    is named at the end, after all others were measured. Returns the files of all cells. Raises
    FlawmapError where a cell failed, and UsageError where the grid does not fit or a result in
    ``out`` was made with other options.
    """
    cells = (grid if isinstance(grid, Grid) else read_grid(Path(grid))).cells()
    results = make_folder(Path(out))
    runs = make_folder(Path(work) if work else results / "runs")
    waiting = [cell for cell in cells if not _is_there(results / f"{cell.name}.json", cell)]
    if len(waiting) < len(cells):
        say(f"{len(cells) - len(waiting)} of {len(cells)} are measured already.")
    failed = []
    for count, cell in enumerate(waiting, 1):
        say(f"{count} of {len(waiting)}: {cell.name}")
        try:
            write_json(results / f"{cell.name}.json", measure(cell, runs / cell.name))
        except FlawmapError as error:
            say(f"{cell.name}: {error}")
            failed.append(cell.name)
        else:
            if not keep:
                shutil.rmtree(runs / cell.name)
    if failed:
        raise FlawmapError(
            f"{len(failed)} of {len(cells)} failed: {', '.join(failed)}. "
            "What each said is above; the same command tries them again."
        )
    return [results / f"{cell.name}.json" for cell in cells]


def _is_there(path: Path, cell: Cell) -> bool:
    if not path.is_file():
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made = found["options"], found["changes"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no result of a bench: move it away.") from error
    if made != _asked(cell):
        raise UsageError(f"{path} was made with other options: give another --out.")
    return True


def _asked(cell: Cell) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options and changes as a result file holds them."""
    changes: dict[str, Any] = json.loads(json.dumps(dict(cell.changes)))
    return cell.options.model_dump(mode="json"), changes


def measure(cell: Cell, run: Path) -> dict[str, Any]:
    """Train and evaluate one cell in the folder ``run``; the object of its result file.

    ``peak_mb`` is the training process's; None where the system does not tell, or where an
    earlier bench had trained already. In ``command`` the folder is called RUN.
    """
    train = ["train", str(cell.data), "--out", str(run), "--method", cell.method]
    train += ["--preset", cell.preset, "--teacher", cell.teacher, "--seed", str(cell.seed)]
    train += cell.options.arguments()
    for key, value in cell.changes.items():
        train += ["--set", f"{key}={json.dumps(value)}"]
    figures_file = run / "figures.json"
    evaluate = ["evaluate", str(run), str(cell.data), "--json", str(figures_file)]
    trained_before = (run / "manifest.json").is_file()
    start = time.monotonic()
    peak = _flawmap([*train, "--resume"])
    trained = time.monotonic()
    _flawmap(evaluate)
    evaluated = time.monotonic()
    manifest = read_manifest(run)
    training = manifest.training.model_dump(mode="json", exclude={"trained_on"})
    seconds: dict[str, float] = dict(manifest.training.seconds)
    if not trained_before:
        seconds["train_command"] = round(trained - start, 1)
    seconds |= phase_seconds(read_log(run / "training.jsonl"))
    seconds |= {"evaluate": round(evaluated - trained, 1)}
    options, changes = _asked(cell)
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
        **provenance(_told((train, evaluate[:3]), run)),
        "figures": json.loads(figures_file.read_text(encoding="utf-8")),
        "seconds": seconds,
        "peak_mb": None if trained_before else peak,
        "options": options,
        "changes": changes,
        "training": training,
        "configuration": manifest.configuration,
    }


def _told(commands: Sequence[Sequence[str]], run: Path) -> str:
    """Command lines for a reader, who has no use for the name of a folder that is gone."""
    lines = [["RUN" if word == str(run) else word for word in words] for words in commands]
    return " && ".join(shlex.join(["flawmap", *words]) for words in lines)


def phase_seconds(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of each phase of training, by the log."""
    ends: dict[str, float] = {}
    for line in lines:
        ends[f"train_{line['phase']}"] = float(line["seconds"])
    starts = [0.0, *ends.values()]
    return {k: round(end - start, 1) for (k, end), start in zip(ends.items(), starts, strict=False)}


def _flawmap(words: list[str]) -> int | None:
    """Run a verb to its end; its peak memory in MB where the system tells."""
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
        process.terminate()  # it leaves a checkpoint
        process.wait()
        raise
    if process.returncode:
        raise FlawmapError(f"flawmap {words[0]} ended with status {process.returncode}.")
    return peak
