"""Search settings over a suite of products with Optuna (extra ``search``)."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flawmap.benchmark.grid import Grid, Range, Search, Variant
from flawmap.errors import FlawmapError, UsageError
from flawmap.evaluation.metrics.catalogue import METRICS
from flawmap.utils.extras import need
from flawmap.utils.files import write_json

STATE = "search.json"  # in the folder of results
_SHOWN = 5  # best settings that are printed

Trial = dict[str, Any]  # changes: by field; value: of the objective, None if not measured


def search(
    grid: Grid,
    asked: Search,
    measure: Callable[[Grid], list[Path]],
    results: Path,
    say: Callable[[str], None],
) -> list[Path]:
    """Try settings until ``trials`` are measured; return the result files of all.

    ``measure`` measures a grid and returns its result files. Trials are kept in ``search.json``
    among the results: a search that was stopped goes on, and the same command later tries only what
    is missing. Raises FlawmapError if Optuna is not installed or the results belong to another
    search, UsageError if the metric does not exist.
    """
    if asked.objective not in METRICS:
        raise UsageError(f"No metric {asked.objective!r}: choose from {', '.join(METRICS)}.")
    need("optuna", "A search", "search")
    products = {cell.data for cell in grid.cells()}
    if len(products) == 1:
        say("This search judges by one product: its settings may suit no other.")
    trials = _read(results / STATE, asked)
    files = []
    for number in range(asked.trials):
        if number == len(trials):
            trials.append({"changes": _next(asked, trials), "value": None})
            _write(results / STATE, asked, trials)
        trial = trials[number]
        say(f"Settings {number + 1} of {asked.trials}: {_text(trial['changes'])}")
        variant = {f"trial-{number:03d}": Variant(changes=trial["changes"])}
        measured = measure(grid.model_copy(update={"variant": variant, "search": None}))
        files += measured
        if trial["value"] is None:
            trial["value"] = _suite_mean(measured, asked.objective)
            _write(results / STATE, asked, trials)
        say(f"{asked.objective} {trial['value']:.4f}")
    for line in summary(asked, trials, len(products)):
        say(line)
    return files


def summary(asked: Search, trials: Sequence[Trial], products: int) -> list[str]:
    """Return lines with the best settings, and how many were compared."""
    order = sorted(range(len(trials)), key=lambda n: -_sign(asked) * trials[n]["value"])
    lines = [
        f"trial-{n:03d}: {asked.objective} {trials[n]['value']:.4f} with "
        f"{_text(trials[n]['changes'])}"
        for n in order[:_SHOWN]
    ]
    return [
        *lines,
        f"{len(trials)} settings were compared on {products} product(s), so the best looks better "
        "than it is: measure it with other seeds before it becomes a default.",
    ]


def _sign(asked: Search) -> int:
    return 1 if METRICS[asked.objective].higher_is_better else -1


def _suite_mean(files: Sequence[Path], metric: str) -> float:
    """Return the mean over products of each product's mean over its results."""
    by_product: dict[tuple[str, str], list[float]] = {}
    for path in files:
        result = json.loads(path.read_text(encoding="utf-8"))
        value = result["figures"][metric]
        if value is None:
            raise FlawmapError(
                f"{metric} is not defined on {result['category']}, so its settings cannot be "
                "compared: choose another objective, or leave the product out."
            )
        by_product.setdefault((result["dataset"], result["category"]), []).append(value)
    return statistics.fmean(map(statistics.fmean, by_product.values()))


def _next(asked: Search, trials: Sequence[Trial]) -> dict[str, Any]:
    """Draw the next settings, given those measured so far."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: _distribution(one) for name, one in asked.ranges.items()}
    sampler = optuna.samplers.TPESampler(seed=asked.seed + len(trials), constant_liar=False)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        values = {name: _stored(asked.ranges[name], v) for name, v in trial["changes"].items()}
        study.add_trial(
            optuna.trial.create_trial(
                params=values, distributions=space, value=_sign(asked) * trial["value"]
            )
        )
    drawn = study.ask(space).params
    return {name: _value(one, drawn[name]) for name, one in asked.ranges.items()}


def _distribution(one: Range) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if one.choice:  # by position: a value may be a list
        return CategoricalDistribution(tuple(range(len(one.choice))))
    assert one.low is not None
    assert one.high is not None
    if one.integer:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def _stored(one: Range, value: Any) -> Any:
    """Return Optuna's form of a value."""
    if not one.choice:
        return value
    return next(n for n, other in enumerate(one.choice) if _plain(other) == value)


def _value(one: Range, drawn: Any) -> Any:
    return _plain(one.choice[drawn]) if one.choice else drawn


def _plain(value: Any) -> Any:
    """Return a value as JSON reads it back."""
    return json.loads(json.dumps(value))


def _read(path: Path, asked: Search) -> list[Trial]:
    if not path.is_file():
        return []
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        before, trials = state["search"], list(state["trials"])
    except (ValueError, KeyError, TypeError) as error:
        raise FlawmapError(f"{path} is damaged: move it away to search anew.") from error
    if before != _identity(asked):
        raise UsageError(f"{path} belongs to another search: give another --out.")
    return trials


def _write(path: Path, asked: Search, trials: Sequence[Trial]) -> None:
    write_json(path, {"search": _identity(asked), "trials": list(trials)})


def _identity(asked: Search) -> dict[str, Any]:
    """Return what must not change between calls; the number of trials may grow."""
    return asked.model_dump(mode="json", exclude={"trials"})


def _text(changes: dict[str, Any]) -> str:
    shown = {k: f"{v:.4g}" if isinstance(v, float) else json.dumps(v) for k, v in changes.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())
