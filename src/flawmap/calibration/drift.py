"""``flawmap drift``: test whether good parts still look like those used for calibration."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flawmap.calibration.martingale import Direction, find_drift
from flawmap.data.samples import plural
from flawmap.data.targets import check_target
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.graphs import calibration_of
from flawmap.inspection.bundle.manifest import read_manifest, region_id, run_id
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import make_folder, write_json

_WRITER = ("run", "precision", "backend")  # fields that identify the writer of a line


@dataclass(frozen=True)
class Drift:
    """Result of the drift test on the lines of ``predict``."""

    parts: int
    """Parts that were tested."""
    rejected: int
    """Parts left out, as they scored the reject threshold or more."""
    skipped: int
    """Lines of images that could not be inspected."""
    alarm: bool
    alarm_at: int | None
    """Number of the line, from 1, with which the alarm was raised; the test ends there."""
    direction: Direction | None
    """Where the scores went."""
    evidence: float
    """Highest capital of the test's gambler; the alarm comes at 1 / false_alarm_rate."""
    false_alarm_rate: float

    def statement(self) -> str:
        """State the result in words."""
        tested = f"{plural(self.parts, 'part(s)')} tested"
        if self.rejected:
            tested += f", {self.rejected} rejected and left out"
        if self.skipped:
            tested += f", {self.skipped} unreadable"
        promise = (
            "As long as nothing changes, there is ever an alarm with probability "
            f"{100 * self.false_alarm_rate:g}% at most."
        )
        if not self.alarm:
            return f"No alarm: {tested}. {promise}"
        return (
            f"ALARM at line {self.alarm_at}: good parts score {self.direction} than those of the "
            f"calibration ({tested}). {promise} Look at camera, light and parts; if all are as "
            "they should be, train anew with parts of today."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``drift --json`` writes."""
        return asdict(self) | {"statement": self.statement()}


def drift(
    run: str | os.PathLike[str],
    scores: str | os.PathLike[str],
    *,
    false_alarm: float = 0.01,
    rejected: bool = False,
    json_file: str | os.PathLike[str] | None = None,
) -> Drift:
    """Test whether the parts in ``scores`` still look like those that ``run`` was calibrated on.

    ``scores``: lines that ``predict --json`` or ``--watch`` wrote with this inspector, in the order
    of the parts. As long as good parts resemble those held out for calibration, the probability of
    ever raising an alarm is at most ``false_alarm``, however often the test is repeated as lines
    are added. Rejected parts are left out, and so are calibration scores that reach the threshold:
    given the threshold, the scores below it are exchangeable on both sides. With ``rejected`` all
    parts count: for parts known to be good. ``json_file``: file for the result. Raises FlawmapError
    if a line was not written with this run and its region, if precisions are mixed, or if the run
    was calibrated by folds; UsageError for an invalid rate.
    Source: see :mod:`flawmap.calibration.martingale`.
    """
    check_target(json_file, "false_alarm_rate", inputs=[scores])
    lines, skipped = _read(Path(scores))
    calibration = _calibration(Path(run), lines, Path(scores))
    limit = math.inf if rejected else calibration.reject.value
    if calibration.left_out and limit > max(calibration.scores):
        raise FlawmapError(
            f"{plural(len(calibration.left_out), 'good image(s)')} of {run} left out of the "
            "thresholds stood apart: good parts like that could raise an alarm though nothing "
            "changed. Leave --rejected out, or calibrate on other good images."
        )
    tested = [line for line in lines if line.score < limit]
    before = [score for score in calibration.scores if score < limit]
    found = find_drift(before, [line.score for line in tested], false_alarm)
    drifted = Drift(
        parts=len(tested),
        rejected=len(lines) - len(tested),
        skipped=skipped,
        alarm=found.alarm_at is not None,
        alarm_at=None if found.alarm_at is None else tested[found.alarm_at].number,
        direction=found.direction,
        evidence=found.value,
        false_alarm_rate=false_alarm,
    )
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), drifted.to_dict())
    return drifted


@dataclass(frozen=True)
class _Line:
    number: int
    score: float
    run: str
    precision: str
    backend: str
    region: str | None

    @property
    def kind(self) -> tuple[str, ...]:
        """Key of the calibration that a score belongs to: INT8 has one per runtime."""
        return (self.precision, self.backend) if self.precision == "int8" else (self.precision,)


def _read(path: Path) -> tuple[list[_Line], int]:
    """Return the lines with a score, and the number of lines with an error instead."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FlawmapError(f"Cannot read {path}: {error.strerror}.") from error
    found = list(_lines(text, path))
    lines = [line for line in found if line is not None]
    return lines, len(found) - len(lines)


def _lines(text: bytes, path: Path) -> Iterator[_Line | None]:
    whole = text[: text.rfind(b"\n") + 1]  # --watch may still be writing the last line
    for number, line in enumerate(whole.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if "error" in value:
                yield None
                continue
            score = float(value["score"])
            if not math.isfinite(score):
                raise ValueError(score)
        except (ValueError, KeyError, TypeError) as error:
            raise FlawmapError(
                f"Line {number} of {path} is none of predict: give the file that "
                "predict --json or --watch wrote."
            ) from error
        wrote, precision, backend = (value.get(name) for name in _WRITER)
        if not (isinstance(wrote, str) and isinstance(precision, str) and isinstance(backend, str)):
            raise FlawmapError(
                f"Line {number} of {path} does not say which run wrote it, in which precision: "
                "predict again."
            )
        yield _Line(number, score, wrote, precision, backend, value.get("region"))


def _calibration(run: Path, lines: list[_Line], path: Path) -> Calibration:
    """Return the calibration whose scores are comparable with those of the lines."""
    manifest = read_manifest(run)
    mine, region = run_id(manifest), region_id(manifest)
    for line in lines:
        if line.run != mine:
            raise FlawmapError(
                f"Line {line.number} of {path} was written by another run ({line.run}), not by "
                f"{run} ({mine}): give the run that wrote it, and a file with lines of one run."
            )
        if line.region != region:
            raise FlawmapError(
                f"Line {line.number} of {path} was written before the run's region of interest "
                "changed, and with it the scores: predict again, or judge those lines again."
            )
        if line.kind != lines[0].kind:
            raise FlawmapError(
                f"Line {lines[0].number} of {path} was written in {' on '.join(lines[0].kind)}, "
                f"line {line.number} in {' on '.join(line.kind)}: give a file with lines of one "
                "precision."
            )
    first = lines[0] if lines else _Line(0, 0.0, mine, "float32", "", region)
    found = calibration_of(manifest, first.precision, first.backend)
    if found is None:
        raise FlawmapError(
            f"Line {first.number} of {path} was written in {' on '.join(first.kind)}, for which "
            f"{run} has no thresholds now: export it again."
        )
    if found.folds:
        raise FlawmapError(
            f"{run} was calibrated by folds: other models scored those images, so drift could "
            "raise an alarm though nothing changed. Calibrate on good images that it has not seen: "
            f"flawmap calibrate {run} GOOD_IMAGES"
        )
    return found
