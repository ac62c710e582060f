"""Markdown tables of the results of ``known_defects.py`` and ``hard_negatives.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any

Result = dict[str, Any]
Means = dict[tuple[str, str], float]
METRICS = {
    "image_auroc": "image AUROC",
    "pixel_ap": "pixel AP",
    "pro": "PRO",
    "iap": "instance AP",
    "iap90": "instance AP 90",
}


def render(load: Callable[[str], Result | None]) -> str:
    """Render the tables of docs/learn-from-defects.md; ``load`` returns a result by its name."""
    parts = []
    if result := load("known_defects"):
        parts += [_known(result)]
    if result := load("leave_one_type_out"):
        parts += [_unknown(result)]
    if result := load("hard_negatives"):
        parts += [_negatives(result)]
    return "\n".join(parts)


def _known(result: Result) -> str:
    """Render the products of the middle number of defects, and one line for each other number."""
    numbers = sorted({row["k"] for row in result["rows"]})
    shown = numbers[len(numbers) // 2]
    rows = [row for row in result["rows"] if row["k"] == shown]
    draws, seeds = (len({row[key] for row in rows}) for key in ("draw", "seed"))
    fewer = {
        name: count
        for name, count in Counter(row["product"] for row in rows).items()
        if count < draws * seeds
    }
    but = "".join(f", {name} in {count}" for name, count in fewer.items())
    lines = [
        f"With {shown} labelled defects of each type, {_count(draws, 'draw')} and "
        f"{_count(seeds, 'seed')}: {_count(draws * seeds, 'run')} a product{but}. Measured on the "
        "other test images, before → after:",
        "",
        *_table(rows),
        "",
    ]
    for number in numbers:
        if number != shown:
            own = [row for row in result["rows"] if row["k"] == number]
            lines.append(
                f"With {_count(number, 'defect')} of each type the mean changes by {_gains(own)}."
            )
    cores = result["hardware"]["cores"]
    seconds = [row["seconds"] for row in result["rows"] if row["threads"] == cores]
    if seconds:
        lines.append(
            f"Refining took a median of {median(seconds):.0f} s, at most {max(seconds):.0f} s, on "
            f"{_count(cores, 'core')} ({_count(len(seconds), 'run')})."
        )
    return "\n".join(lines) + "\n"


def _gains(rows: Sequence[Result]) -> str:
    """Return the changes of the mean over products, in words."""
    mean = _mean(_means(rows))
    return ", ".join(
        f"{mean['after', key] - mean['before', key]:+.3f} ({name})" for key, name in METRICS.items()
    )


def _unknown(result: Result) -> str:
    rows = result["rows"]
    lines = [
        "Known defects must not blind an inspector to others: here the head learned from all types "
        "but one, and is measured on that one, before → after (means over the types):",
        "",
        *_table(rows),
    ]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Result]) -> list[str]:
    lines = [f"| product | {' | '.join(METRICS.values())} |", f"|---|{'---|' * len(METRICS)}"]
    means = _means(rows)
    lines += [_line(name, values) for name, values in means.items()]
    mean = _mean(means)
    gains = (mean["after", key] - mean["before", key] for key in METRICS)
    lines.append(_line("**mean**", mean))
    lines.append(f"| change | {' | '.join(f'{gain:+.3f}' for gain in gains)} |")
    return lines


def _means(rows: Sequence[Result]) -> dict[str, Means]:
    """Return the means of each product before and after, by metric."""
    return {
        name: {
            (when, key): fmean(r[when][key] for r in rows if r["product"] == name)
            for when in ("before", "after")
            for key in METRICS
        }
        for name in dict.fromkeys(row["product"] for row in rows)
    }


def _mean(means: dict[str, Means]) -> Means:
    """Return the mean over products, each of which counts alike."""
    return {key: fmean(one[key] for one in means.values()) for key in next(iter(means.values()))}


def _line(name: str, values: Means) -> str:
    star = r"\*" if name == "toothbrush" else ""
    cells = (f"{values['before', key]:.3f} → {values['after', key]:.3f}" for key in METRICS)
    return f"| {name}{star} | {' | '.join(cells)} |"


def _negatives(result: Result) -> str:
    heads = ["relit good rejected", "good rejected", "relit defects caught", "defects caught"]
    lines = [
        f"A lamp that ages, drawn: up to {result['strength']:.0%} darker, uneven and warmer. Half "
        "of the good test parts are relit, and those that are rejected are given to `--good`; "
        "measured on the other half, before → after:",
        "",
        f"| product | given | promised | {' | '.join(heads)} |",
        f"|---|---|---|{'---|' * len(heads)}",
    ]
    for row in result["rows"]:
        cells = (
            f"{row['before'][key]['rate']:.1%} → {row['after'][key]['rate']:.1%}" for key in heads
        )
        promised = f"{row['after']['promised']:.1%}"
        lines.append(f"| {row['product']} | {row['given']} | {promised} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number > 1 else ''}"
