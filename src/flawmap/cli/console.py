"""Console output: progress bars on a terminal, periodic lines elsewhere, and tables."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flawmap.data.resize import Framing
from flawmap.data.samples import plural
from flawmap.evaluation.report.outcome import judged, tally
from flawmap.inspection.bundle.manifest import Export, Manifest, Training
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.benchmark.comparison import Comparison
    from flawmap.benchmark.differences import Difference
    from flawmap.calibration.result import Recalibration
    from flawmap.evaluation.report.data import ImageRow
    from flawmap.evaluation.result import Evaluation
    from flawmap.inspection.conformal import Calibration
    from flawmap.inspection.record import InspectionRecord
    from flawmap.training.loop import Progress as Step
    from flawmap.training.train import Reporter

_EVERY = 5.0  # seconds between lines without a terminal
_MEANING = {
    "image_auroc": "defective images score above good ones",
    "image_ap": "average precision over images",
    "image_f1max": "best F1 over images",
    "pixel_auroc": "defective pixels score above good ones",
    "pixel_ap": "average precision over pixels",
    "pixel_f1max": "best F1 over pixels",
    "pro": "share of each defect covered, up to 30 % false positives",
    "iap": "pixel precision where half of each defect is found",
    "iap90": "pixel precision where 90 % of the defects are half found",
}
_COLOURS = {"good": "green", "review": "yellow", "reject": "red"}

# print paths and messages literally, without markup
_plain: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False, "emoji": False}
console = Console(**_plain)
errors = Console(stderr=True, **_plain)


class Bar:
    """Progress bar on a terminal; elsewhere a line every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Progress | None = None
        self._task = None if not errors.is_terminal else self._start()
        self._told = time.monotonic()

    def _start(self) -> int:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
        )
        self._bar.start()
        return int(self._bar.add_task(self._what, total=None))

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show progress: ``done`` of ``total``."""
        if self._bar is not None and self._task is not None:
            text = f"{self._what} {note}".strip()
            self._bar.update(self._task, completed=done, total=total, description=text)  # type: ignore[arg-type]
        elif done == total or time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            errors.print(f"{self._what}: {done} of {total} {note}".rstrip())

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def counting_display(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield the update function of a bar; always close the bar at the end."""
    bar = Bar(what)
    try:
        yield bar.update
    finally:
        bar.close()


@contextmanager
def training_display() -> Iterator[Reporter]:
    """Yield a reporter that prints messages and shows a bar for a training run."""
    from flawmap.training.train import Reporter

    bar: list[Bar] = []

    def show(step: Step) -> None:
        if not bar:
            bar.append(Bar("training"))
        bar[0].update(step.step, step.steps, f"({step.phase}, loss {step.loss:.3f})")

    try:
        yield Reporter(say=console.print, show=show)
    finally:
        for one in bar:
            one.close()


class PredictionDisplay:
    """Print a line per inspected image, and the verdict counts at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._counts: dict[str, int] = {}

    def __call__(self, record: InspectionRecord, total: int) -> None:
        verdict = record.verdict or "error"
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        if record.error is not None:
            errors.print(record.error)
        elif not self._quiet:
            console.print(f"{verdict:7}", style=_COLOURS[verdict], end="")
            found = plural(len(record.defects or ()), "defect(s)")
            values = f"score {record.score:.4f}  p {record.p_value:.3f}  {found:10}"
            console.print(f" {values}  {printable(record.path or '')}")

    def stopped(self, lines: Path | None) -> None:
        """Print what was done before an early end, and where its lines are."""
        count = sum(self._counts.values())
        if count:
            self.close()
            if lines is not None and str(lines) != "-":
                if lines.is_file():  # it may hold one more line than was counted
                    with contextlib.suppress(OSError), lines.open("rb") as file:
                        count = sum(1 for _ in file)
                what = "1 line is" if count == 1 else f"{count} lines are"
                errors.print(f"Ended early: {what} in {lines}, each of them whole.")

    def close(self) -> None:
        """Print the number of images by verdict."""
        if not self._quiet:
            shown = {"good": "good", "review": "to review", "reject": "rejected"}
            sums = [f"{self._counts.get(name, 0)} {text}" for name, text in shown.items()]
            failed = self._counts.get("error", 0)
            sums += [f"{failed} unreadable"] if failed else []
            total = plural(sum(self._counts.values()), "image(s)")
            console.print(f"{total}: {', '.join(sums)}")


def show_evaluation(found: Evaluation) -> None:
    """Print every metric with its meaning."""
    values = found.to_dict()
    table = Table("figure", "value", "what it says", box=None, pad_edge=False)
    for name, meaning in _MEANING.items():
        value = values[name]
        why = meaning if value is not None else f"undefined: {values['notes'].get(name, '')}"
        table.add_row(name, "–" if value is None else f"{value:.4f}", why)
    console.print(found.dataset.describe())
    console.print(table, soft_wrap=False)
    if found.distances:
        console.print(f"Not the inspector's map, but the {values['notes']['read_out']}.")
    for label in ("good", "defective") if found.rows else ():
        console.print(_verdicts(judged(found.rows, label), label))
    console.print(
        f"{plural(values['images'], 'image(s)')}, "
        f"{plural(values['instances'], 'defect(s)')} in the ground truth, {values['seconds']:.1f} s"
    )
    for warning in found.warnings:
        errors.print(f"Note: {warning}")


def _verdicts(rows: Sequence[ImageRow], label: str) -> str:
    """Verdict counts of the good, or of the defective, images."""
    count = tally(rows)
    return (
        f"{count.total} {label}: {count.passed} passed as good, {count.review} to review, "
        f"{count.rejected} rejected"
        if count.total
        else f"no {label} images to judge"
    )


def show_calibration(found: Recalibration) -> None:
    """Print the new thresholds and their guarantee."""
    limits = found.calibration
    console.print(limits.statement())
    console.print(_told_thresholds(limits))
    for path, score in found.highest_scoring:
        console.print(f"Among the highest-scoring: score {score:.4f}  {printable(path)}")
    if found.rejected is not None and found.noticed is not None:
        console.print(
            f"Known defects rejected: {found.rejected}; or sent to review: {found.noticed}"
        )
    for warning in found.warnings:
        errors.print(f"Note: {warning}")


def _told_thresholds(limits: Calibration) -> str:
    return (
        f"reject above {limits.reject.value:.4f}, review above {limits.review.value:.4f}, "
        f"pixel above {limits.pixel.value:.4f}"
    )


def show_regions(manifest: Manifest) -> None:
    """Print the region, the filters and the guarantee of the thresholds."""
    console.print(_told_regions(manifest))
    console.print(manifest.calibration.statement())


def _told_regions(manifest: Manifest) -> str:
    filters = manifest.filters
    where = "within a region of interest" if manifest.region else "everywhere"
    pitch = filters.pixel_pitch
    area = f"{filters.min_area:g} pixels" + (
        f" ({filters.min_area * pitch**2:g} mm2)" if pitch else ""
    )
    told = {
        f"smaller than {area}": filters.min_area,
        f"below a peak of {filters.min_peak:g}": filters.min_peak,
    }
    left_out = [words for words, value in told.items() if value]
    words = f"looks {where}"
    words += f"; leaves out regions {' or '.join(left_out)}" if left_out else ""
    if filters.merge_distance:
        words += f"; regions within {filters.merge_distance:g} pixels are one defect"
    return words


def show_export(export: Export) -> None:
    """Print how far an export deviates from the original graph, and its thresholds' guarantee."""
    console.print(_told_export(export), soft_wrap=True)
    if export.calibration is not None:
        console.print(export.calibration.statement())
        console.print(_told_thresholds(export.calibration))


def _told_export(export: Export) -> str:
    told = (
        f"map differs by at most {export.map_max:.1e} (mean {export.map_mean:.1e}), score by "
        f"{export.score_max:.1e} (mean {export.score_mean:.1e}); {export.flips} of "
        f"{export.images} verdicts differ, good images' p-values by {export.p_value_mean:.3f}"
    )
    if export.pixel_ap is not None and export.image_auroc is not None:
        ap, auroc = export.pixel_ap, export.image_auroc
        told += (
            f"; on drawn defects pixel AP {ap[0]:.4f} -> {ap[1]:.4f}, image AUROC "
            f"{auroc[0]:.4f} -> {auroc[1]:.4f}"
        )
    if export.quantised is not None:
        told += f"; quantised: {export.quantised}"
    return told + (" (FORCED past its limits)" if export.forced else "")


def _told_memory(manifest: Manifest) -> str:
    memory = manifest.configuration.get("memory")
    kind = "none" if memory is None else memory["kind"]
    return "none of good images" if kind == "none" else f"of good images, {kind}"


def _told_white(white: int | None) -> str:
    if white is None:
        return "255 of 8 bits; the images learned from have no more"
    return f"{white:,} of images of 16 bits ({white.bit_length()} bits)"


def _told_framing(framing: Framing) -> str:
    height, width = framing.size
    told = {
        "squash": "",
        "letterbox": ", photographs' shape kept",
        "tiles": f": tiles of photographs, {framing.overlap} pixels over each other",
    }
    return f"{height} x {width} pixels{told[framing.fit]}"


def _told_images(training: Training) -> str:
    told = [f"{training.held_out} more held out"]
    if training.set_aside:
        told.append(f"{len(training.set_aside)} more shots of those parts set aside")
    told.append(f"{training.skipped} unreadable")
    if training.useless:
        told.append(f"{training.useless} of a few pixels or one colour left out")
    if training.copies:
        told.append(f"{training.copies} {'copy' if training.copies == 1 else 'copies'} left out")
    words = f"{training.images} good images of {training.data}; {', '.join(told)}"
    if training.group is not None:
        words += f"; of {training.groups} parts, told apart by --group {training.group}"
    return words


def _told_calibration(manifest: Manifest) -> str:
    limits = manifest.calibration
    words = plural(len(limits.scores), "good image(s)")
    words += (
        f" of {', '.join(map(printable, limits.places))}"
        if limits.places
        else " of the training's folder"
    )
    if limits.folds:
        words += f", each scored by one of {limits.folds} fold models"
    if limits.left_out:
        words += f"; {plural(len(limits.left_out), 'outlier(s)')} left out"
    return words


def show_info(manifest: Manifest) -> None:
    """Print a short table that describes an inspector."""
    training, parity, limits = manifest.training, manifest.parity, manifest.calibration
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a long path is shown in full
    rows = {
        "method": f"{manifest.method} ({manifest.preset})",
        "teacher": manifest.teacher.name,
        "learned from": _told_images(training),
        "rotation": f"{training.rotation}: {training.rotation_reason}",
        "textures": training.textures,
        "memory": _told_memory(manifest),
        "training": f"{training.steps} steps in {training.seconds.get('train', 0):.0f} s on "
        f"{training.device} ({training.precision}), seed {training.seed}",
        "working size": _told_framing(manifest.preprocessing.framing),
        "white level": _told_white(manifest.preprocessing.white_level),
        "thresholds": _told_thresholds(limits),
        "calibrated on": _told_calibration(manifest),
        "promise": limits.statement(),
        "regions": _told_regions(manifest),
        "parity": f"exported and trained network differ by at most {parity.map:.1e} (map) and "
        f"{parity.score:.1e} (score) on {parity.images} images",
    }
    for name, there in manifest.devices.items():
        rows[f"parity on {name}"] = (
            f"at most {there.map:.1e} (map) and {there.score:.1e} (score) from the trained network "
            f"on {there.images} images"
        )
    for name, export in manifest.exports.items():
        rows[f"export {name}"] = f"when exported: {_told_export(export)}"
        if export.calibration is not None:
            rows[f"{name} thresholds"] = _told_thresholds(export.calibration)
            rows[f"{name} promise"] = export.calibration.statement()
    if manifest.metrics:
        shown = ("image_auroc", "pixel_ap", "iap")
        known = {key: manifest.metrics.get(key) for key in shown}
        figures = [f"{key} {v:.4f}" for key, v in known.items() if isinstance(v, float)]
        rows["evaluated on"] = (
            f"{manifest.metrics.get('data')}: {', '.join(figures) or 'no figure is defined there'}"
        )
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table, soft_wrap=False)


_HEADS = {
    "image_auroc": "image\nAUROC",
    "pixel_auroc": "pixel\nAUROC",
    "pixel_ap": "pixel\nAP",
    "pro": "PRO",
    "iap": "IAP",
    "iap90": "IAP90",
    "milliseconds": "ms",
}
_ROWS = {"a": "A", "b": "B", "difference": "B - A", "deviation": "±"}


def show_comparison(found: Comparison) -> None:
    """Print both sides, their difference by product and in the mean, and the verdict."""
    for letter, side in (("A", found.a), ("B", found.b)):
        told = side.to_dict()
        seeds, commits = (", ".join(map(str, told[key])) for key in ("seeds", "commits"))
        console.print(
            f"{letter}: {side.way}; seeds {seeds}; commit {commits or 'unknown'}; "
            f"{printable(side.source)}"
        )
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("product", no_wrap=True)
    table.add_column("", no_wrap=True)
    for head in _HEADS.values():
        table.add_column(head, justify="right", no_wrap=True)
    for name, figures in {**found.figures, "mean": found.mean}.items():
        for row, letter in _ROWS.items():
            cells = [_compared(figures[key], row, key) for key in _HEADS]
            table.add_row(name if row == "a" else "", letter, *cells)
    console.print(table, soft_wrap=False)
    for note in found.notes:
        errors.print(f"Note: {note}")
    for line in (found.compared(), *found.verdict.lines()):
        console.print(line)


def _compared(found: Difference, row: str, figure: str) -> str:
    value: float | None = getattr(found, row)
    if value is None:
        return "–"
    digits = 1 if figure == "milliseconds" else 3
    return f"{value:{'+' if row == 'difference' else ''}.{digits}f}"
