"""Run a grid: train and evaluate each cell in separate processes, and store the results."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flawmap.benchmark.grid import Cell, Grid, read_grid
from flawmap.benchmark.origin import origin_of
from flawmap.benchmark.provenance import provenance
from flawmap.benchmark.search import search
from flawmap.benchmark.workers.cluster import run_on_ray
from flawmap.benchmark.workers.commands import Commands, KilledError
from flawmap.benchmark.workers.local import run_local
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, SETTINGS, WEIGHTS, read_manifest
from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.inspection.many.where import is_cluster
from flawmap.utils.files import OURS, foreign, make_folder, write_json

_MARKER = f"{OURS}bench.json"
_METRICS, _PEAK = "figures.json", "peak_mb.json"
_MADE = (MANIFEST, SETTINGS, GRAPH, WEIGHTS, TRAINING_LOG, _METRICS, _PEAK)
_ATTEMPTS = 3  # of a cell whose process is killed

Origin = Callable[[Path, str], dict[str, str]]  # :func:`origin_of`, or that with a memory
Outcome = dict[str, dict[str, Any] | str]  # by cell: its result, or why there is none


def bench(
    grid: Grid | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    work: str | os.PathLike[str] | None = None,
    keep: bool = False,
    on: str = "local",
    workers: int = 1,
    cores: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Measure every run of a grid, or of its YAML file, that has no result in ``out`` yet.

    Writes one JSON file per run. Runs train in ``work`` (default ``out/runs``), so that a stopped
    bench resumes where it was; ``keep`` leaves the inspectors there. ``workers`` trainings run at
    once, each on its share of the cores. ``on`` "ray", or the address of a Ray cluster, makes each
    training a task of ``cores`` cores on some node, which must see the data under the same paths;
    without ``work`` it trains in a temporary folder of the node. A run whose process or node is
    lost is run again. Failed cells are named at the end, after all others were measured. Returns
    the files of all cells; of a grid with a ``search``, those of the settings tried. Raises
    FlawmapError if a cell failed or the cluster cannot be reached, UsageError if the grid is
    invalid or a result in ``out`` was made with other options, another teacher or other data.
    """
    given = grid if isinstance(grid, Grid) else read_grid(Path(grid))
    if on != "local" and not is_cluster(on):
        raise UsageError(f"--on {on}: give local, ray or ray://HOST:PORT.")
    if workers < 1:
        raise UsageError(f"{workers} workers cannot train anything: give 1 or more.")
    if on != "local" and keep and work is None:
        raise UsageError("With --on ray, --keep needs a --work that all nodes see.")
    given.cells()  # raises for an invalid grid, before anything is written
    results = make_folder(Path(out))
    place = Path(work) if work else None if on != "local" else results / "runs"
    plan = Plan(results, place, keep, on, workers, cores, say)
    if given.search is not None:
        return search(given, given.search, plan.measure, results, say)
    return plan.measure(given)


@dataclass(frozen=True)
class Plan:
    """Where and how the cells of grids are measured; see :func:`bench`."""

    results: Path
    work: Path | None
    keep: bool
    on: str
    workers: int
    cores: int
    say: Callable[[str], None]

    def measure(self, grid: Grid) -> list[Path]:
        """Measure what has no result yet; return the files of all cells."""
        cells = grid.cells()
        origin = functools.cache(origin_of)  # for this call only: data may change between calls
        waiting = [cell for cell in cells if not _is_there(self._file(cell), cell, origin)]
        if len(waiting) < len(cells):
            self.say(f"{len(cells) - len(waiting)} of {len(cells)} are already measured.")
        failed = self._measure(_by_training(waiting), len(waiting)) if waiting else []
        if failed:
            raise FlawmapError(
                f"{len(failed)} of {len(cells)} failed: {', '.join(failed)}. "
                "Their messages are above; the same command tries them again."
            )
        return [self._file(cell) for cell in cells]

    def _file(self, cell: Cell) -> Path:
        return self.results / f"{cell.name}.json"

    def _measure(self, jobs: list[tuple[Cell, ...]], total: int) -> list[str]:
        """Measure all cells of the jobs; return the names of those that failed."""
        failed: list[str] = []
        count = itertools.count(1)
        run = functools.partial(measure_training, work=self.work, keep=self.keep)

        def announce(job: tuple[Cell, ...]) -> None:
            for cell in job:
                self.say(f"{next(count)} of {total}: {cell.name}")

        def finish(job: tuple[Cell, ...], outcome: Outcome | str) -> None:
            for cell in job:
                result = outcome if isinstance(outcome, str) else outcome[cell.name]
                if isinstance(result, str):
                    self.say(f"{cell.name}: {result}")
                    failed.append(cell.name)
                else:
                    write_json(self._file(cell), result)

        def here(job: tuple[Cell, ...], commands: Commands) -> None:
            announce(job)
            run(job, commands, store=lambda cell, result: finish((cell,), {cell.name: result}))

        def there(job: tuple[Cell, ...], outcome: Outcome | str) -> None:
            announce(job)
            finish(job, outcome)

        if self.on == "local":
            run_local(jobs, here, self.workers)
        else:
            gpus = int(any(cell.options.device == "cuda" for job in jobs for cell in job))
            run_on_ray(self.on, jobs, run, there, cores=self.cores, gpus=gpus)
        return failed


def _by_training(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Group the cells that are read-outs of one training, in their order."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.run, []).append(cell)
    return [tuple(group) for group in groups.values()]


def measure_training(
    cells: tuple[Cell, ...],
    commands: Commands,
    *,
    work: Path | None,
    keep: bool,
    store: Callable[[Cell, dict[str, Any] | str], None] = lambda cell, result: None,
) -> Outcome:
    """Measure all read-outs of one training; return a result, or the reason of failure, for each.

    ``work``: folder to train in; None for a temporary one. ``store`` gets each as it is made.
    """
    with contextlib.ExitStack() as stack:
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flawmap-bench-")))
        run = make_folder(work) / cells[0].run
        outcome: Outcome = {}
        for cell in cells:
            try:
                made = _made_with(cell, origin_of)
                _claim(run, cell, made)
                outcome[cell.name] = _again_if_killed(cell, run, commands) | made
            except FlawmapError as error:
                outcome[cell.name] = str(error)
            store(cell, outcome[cell.name])
        if not keep and not any(isinstance(found, str) for found in outcome.values()):
            _remove(run)
        return outcome


def _again_if_killed(cell: Cell, run: Path, commands: Commands) -> dict[str, Any]:
    """Measure a cell; where a signal ends its process, continue from its checkpoint."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(KilledError):
            return measure(cell, run, commands)
    return measure(cell, run, commands)


def _is_there(path: Path, cell: Cell, origin: Origin) -> bool:
    if not path.is_file():
        return False
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        _ = stored["options"], stored["changes"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a bench result: move it away.") from error
    made = _made_with(cell, origin)
    if "origin" not in stored:  # as in the results of versions that did not store it
        del made["origin"]
    if {key: stored.get(key) for key in made} != made:
        raise UsageError(
            f"{path} was made with other options, another teacher or other data: give another "
            "--out."
        )
    return True


def _claim(run: Path, cell: Cell, made: dict[str, Any]) -> None:
    """Mark a new folder as this bench's; FlawmapError if it is foreign or has other options."""
    marker = run / _MARKER
    trained = made | {"distances": ()}
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
            f"{run} was started with other options, another teacher or other data: remove it, or "
            "give another --work."
        )


def _remove(run: Path) -> None:
    """Delete the files that a bench made in ``run``; keep all others."""
    for name in (*_MADE, _MARKER):
        (run / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run.rmdir()


def _made_with(cell: Cell, origin: Origin) -> dict[str, Any]:
    """Options, changes, read-out, teacher and data as stored in a result file."""
    options = {"options": cell.options.model_dump(mode="json")}
    what = cell.what.model_dump(mode="json")
    return options | what | {"origin": origin(cell.data, cell.teacher)}


def measure(cell: Cell, run: Path, commands: Commands) -> dict[str, Any]:
    """Train one cell in the folder ``run``, unless that is done, and evaluate it.

    Returns the object of its result file, without what it was made with. ``peak_mb`` is the
    training process's peak memory, None if the system does not report it; ``milliseconds`` the
    median per image in ``evaluate``, from decoding to verdict. In ``command`` the folder is called
    RUN.
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
    peak = _train([*train, "--resume"], run, commands)
    start = time.monotonic()
    commands.run([*evaluate, "--json", str(metrics_file)])
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
        "teacher": cell.teacher_label,
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
        "training": training,
        "parity": manifest.parity.model_dump(mode="json"),
        "configuration": manifest.configuration,
    }


def _train(words: Sequence[str], run: Path, commands: Commands) -> int | None:
    """Train unless done; return the training's peak memory in MB, kept in a file of the run."""
    note = run / _PEAK
    done = (run / MANIFEST).is_file()
    peak = commands.run(words)
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
