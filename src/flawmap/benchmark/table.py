"""Render result files as Markdown: mean ± deviation over seeds, next to the paper's metrics."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flawmap.benchmark.ablation import ablation_rank, published_ablation
from flawmap.benchmark.published import (
    DTD_TEXTURES,
    MVTEC_TRAINING_IMAGES,
    PublishedValue,
    published,
)
from flawmap.errors import UsageError
from flawmap.evaluation.metrics.catalogue import table_metrics

_LATER_FIELDS = {"precision", "follows_shape"}  # fields that presets got after results were stored
_NEEDED = ("method", "preset", "teacher", "dataset", "category", "seed", "figures", "seconds")
_SPLIT = "\\* a split other than MVTec AD's: comparable with runs on the same images only."
_TEXTURES = "† anomaly textures other than the 5,640 images of DTD that the paper used."
_CHANGED = "§ measured before the preset changed to its present values."
_HELD = "‡ trained without the good images held out for calibration; the paper trains on all."


@dataclass(frozen=True)
class Row:
    """Results of one cell of the grid, one per seed."""

    records: tuple[dict[str, Any], ...]

    @property
    def first(self) -> dict[str, Any]:
        """First record; it holds the fields that all share."""
        return self.records[0]

    def values(self, key: str) -> list[float]:
        """Values of a metric over the seeds on which it is defined."""
        metrics = [record["figures"].get(key) for record in self.records]
        return [float(value) for value in metrics if value is not None]

    @property
    def another_split(self) -> bool:
        """Whether the number of good images differs from MVTec AD's category of that name."""
        official = MVTEC_TRAINING_IMAGES.get(self.first["category"])
        training = self.first.get("training") or {}
        counts = [training[k] for k in ("images", "held_out", "skipped") if k in training]
        return official is not None and len(counts) == 3 and sum(counts) != official

    @property
    def other_textures(self) -> bool:
        """Whether anomaly textures came from anything but all of DTD."""
        training = self.first.get("training") or {}
        return bool(training.get("texture_images") != DTD_TEXTURES)

    @property
    def preset_has_changed(self) -> bool:
        """Whether the preset has since changed a field that the run did not override."""
        given = {name for name, value in (self.first.get("options") or {}).items() if value}
        given |= {name.partition(".")[0] for name in self.first.get("changes") or {}}
        if "steps" in given:
            given |= {"steps_when_turned", "epochs"}
        return _differs(self.first, given)


def _differs(record: dict[str, Any], given: set[str]) -> bool:
    """Whether a record's configuration differs from its preset's outside the fields ``given``.

    A field that did not exist yet is taken at its default, except that those of ``_LATER_FIELDS``
    are then not compared: the machine chose the precision, and the size is a field of its own.
    Without torch the methods cannot be loaded, and the answer is False.
    """
    try:
        from flawmap.methods.registry import find_preset

        now = find_preset(record["method"], record["preset"])
        stored = type(now).model_validate(record["configuration"])
    except (ImportError, UsageError, KeyError):
        return False
    except ValidationError:  # it has a field that no longer exists
        return True
    names = set(type(now).model_fields) - given - (_LATER_FIELDS - set(record["configuration"]))
    return any(_before_training(getattr(stored, name)) != getattr(now, name) for name in names)


def _before_training(value: Any) -> Any:
    """Reset a memory's kind to ``auto``, before the good images decided; return others as is."""
    from flawmap.methods.normality.config import MemoryConfig

    return value.model_copy(update={"kind": "auto"}) if isinstance(value, MemoryConfig) else value


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Read all bench results in ``folder``, sorted by file name. UsageError if there is none."""
    records = [record for path in sorted(folder.glob("*.json")) if (record := read_result(path))]
    if not records:
        raise UsageError(f"{folder} has no bench results: run flawmap bench first.")
    return records


def read_result(path: Path) -> dict[str, Any] | None:
    """Read a bench result from a JSON file; None if it holds something else.

    Raises UsageError if it cannot be read or is not JSON.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is damaged: move it away and measure again.") from error
    is_result = isinstance(record, dict) and all(key in record for key in _NEEDED)
    return record if is_result else None


def group(records: Iterable[dict[str, Any]]) -> list[Row]:
    """Group records that differ only in their seed."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        names = ("dataset", "category", "method", "preset", "teacher")
        settings = [
            json.dumps(record.get(k), sort_keys=True)
            for k in ("options", "changes", "distances", "configuration")
        ]
        variant = str(record.get("variant", ""))
        rank = ablation_rank(record["method"], variant)
        key = (*(str(record.get(k, "")) for k in names), rank, variant, *settings)
        groups.setdefault(key, []).append(record)
    return [Row(tuple(sorted(g, key=lambda r: r["seed"]))) for _, g in sorted(groups.items())]


def render(records: Iterable[dict[str, Any]]) -> str:
    """Render all records as a Markdown table in percent, with notes explaining its marks."""
    rows = group(records)
    heads = ["data", "method", "teacher", "seeds", "training", "ms an image"]
    heads += [metric.head for metric in table_metrics()]
    lines = [_line(heads), "|" + "---|" * len(heads)]
    for row in rows:
        lines += _row_lines(row)
    return "\n".join([*lines, "", *_notes(rows)]) + "\n"


def _row_lines(row: Row) -> list[str]:
    first = row.first
    variant = str(first.get("variant") or "")
    name = first["category"] + (r"\*" if row.another_split else "")
    marks = ("†" if row.other_textures else "") + "‡" + ("§" if row.preset_has_changed else "")
    cells = [
        f"{first['dataset']} {name}",
        f"{first['method']} {first['preset']}{': ' if variant else ''}{variant}{marks}",
        first["teacher"],
        str(len(row.records)),
        _training_time(row.records),
        _milliseconds([r.get("milliseconds") for r in row.records]),
    ]
    lines = [_line([*cells, *(spread(row.values(metric.key)) for metric in table_metrics())])]
    paper = published(first["method"], first["category"])
    if variant:
        lines += _ablation_lines(first["method"], variant)
    elif paper and not row.another_split and any(row.values(key) for key in paper):
        seeds = "5" if first["method"] == "destseg" else ""
        lines.append(_line(["", "as published", "", seeds, "", "", *_of_paper(paper)]))
        lines.append(_line(["", "difference", "", "", "", "", *_differences(row, paper)]))
    return lines


def _ablation_lines(method: str, variant: str) -> list[str]:
    paper = published_ablation(method, variant)
    if not paper:
        return []
    return [_line(["", "as published, mean of 15", "", "5", "", "", *_of_paper(paper)])]


def _of_paper(paper: dict[str, PublishedValue]) -> list[str]:
    keys = [metric.key for metric in table_metrics()]
    return [_published(paper[key]) if key in paper else "" for key in keys]


def _published(value: PublishedValue) -> str:
    mean = f"{100 * value.mean:.1f}"
    return mean if value.deviation is None else f"{mean} ± {100 * value.deviation:.1f}"


def _differences(row: Row, paper: dict[str, PublishedValue]) -> list[str]:
    keys = [metric.key for metric in table_metrics()]
    return [
        f"{100 * (statistics.fmean(row.values(key)) - paper[key].mean):+.1f}"
        if key in paper and row.values(key)
        else ""
        for key in keys
    ]


def spread(values: Sequence[float]) -> str:
    """Format mean ± sample deviation in percent; a single value alone, no value as a dash."""
    if not values:
        return "-"
    mean = f"{100 * statistics.fmean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def _training_time(records: Sequence[dict[str, Any]]) -> str:
    """Mean training minutes; on a CPU also the number of cores."""
    minutes = f"{statistics.fmean([r['seconds']['train'] for r in records]) / 60:.1f} min"
    on_processor = [r["hardware"]["cores"] for r in records if r.get("device") == "cpu"]
    if len(on_processor) < len(records):
        return minutes
    fewest, most = min(on_processor), max(on_processor)
    cores = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{minutes} on {cores} core{'' if most == 1 else 's'}"


def _milliseconds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.0f}" if known else "-"


def _notes(rows: Sequence[Row]) -> list[str]:
    used = {
        _SPLIT: any(row.another_split for row in rows),
        _TEXTURES: any(row.other_textures for row in rows),
        _HELD: True,
        _CHANGED: any(row.preset_has_changed for row in rows),
    }
    return [f"- {note}" for note, needed in used.items() if needed]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
