"""``flawmap drift``: test whether good parts still score like those used for calibration."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flawmap.calibration.martingale import Direction, find_drift
from flawmap.data.samples import plural
from flawmap.data.targets import check_target
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest, region_id, run_id
from flawmap.inspection.bundle.models import calibration_of
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.output.lines import read_lines
from flawmap.inspection.record import InspectionRecord
from flawmap.utils.files import make_folder, write_json


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
            tested += f", {self.skipped} not inspected"
        promise = (
            "If nothing changes, the probability of ever raising an alarm is at most "
            f"{100 * self.false_alarm_rate:g}%."
        )
        if not self.alarm:
            return f"No alarm: {tested}. {promise}"
        return (
            f"ALARM at line {self.alarm_at}: good parts score {self.direction} than those of the "
            f"calibration ({tested}). {promise} Check camera, light and parts; if all are as "
            "they should be, train again with current parts."
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
    """Test whether the parts in ``scores`` still score like those that ``run`` was calibrated on.

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
    calibration, parts, skipped = _read(Path(run), Path(scores))
    limit = math.inf if rejected else calibration.reject.value
    if calibration.left_out and limit > max(calibration.scores):
        raise FlawmapError(
            f"{plural(len(calibration.left_out), 'good image(s)')} of {run} were left out of the "
            "thresholds for their high scores: good parts like that could raise an alarm though "
            "nothing changed. Leave --rejected out, or calibrate on other good images."
        )
    tested = [part for part in parts if part.score < limit]
    before = [score for score in calibration.scores if score < limit]
    evidence = find_drift(before, [part.score for part in tested], false_alarm)
    drifted = Drift(
        parts=len(tested),
        rejected=len(parts) - len(tested),
        skipped=skipped,
        alarm=evidence.alarm_at is not None,
        alarm_at=None if evidence.alarm_at is None else tested[evidence.alarm_at].line,
        direction=evidence.direction,
        evidence=evidence.value,
        false_alarm_rate=false_alarm,
    )
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), drifted.to_dict())
    return drifted


class _Part(NamedTuple):
    line: int
    score: float


def _read(run: Path, path: Path) -> tuple[Calibration, list[_Part], int]:
    """Return the calibration that the scores belong to, the scores, and the number of errors."""
    manifest = read_manifest(run)
    parts: list[_Part] = []
    skipped = 0
    first: tuple[int, InspectionRecord] | None = None
    for number, record in read_lines(path):
        if record.score is None:
            skipped += 1
            continue
        first = first or (number, record)
        _check_origin(record, number, path, run, manifest)
        _check_same_precision(record, number, path, first)
        parts.append(_Part(number, record.score))
    return _calibration(run, manifest, path, first), parts, skipped


def _check_origin(
    record: InspectionRecord, number: int, path: Path, run: Path, manifest: Manifest
) -> None:
    """Raise FlawmapError for a record of another run or from before the region changed."""
    current = run_id(manifest)
    if record.run != current:
        raise FlawmapError(
            f"Line {number} of {path} was written by another run ({record.run}), not by {run} "
            f"({current}): give the run that wrote it, and a file with lines of one run."
        )
    if record.region != region_id(manifest):
        raise FlawmapError(
            f"Line {number} of {path} was written before the run's region of interest changed, and "
            "with it the scores: predict again, or judge those lines again."
        )


def _check_same_precision(
    record: InspectionRecord, number: int, path: Path, first: tuple[int, InspectionRecord]
) -> None:
    """Raise FlawmapError if two records need different thresholds."""
    if _kind(record) != _kind(first[1]):
        raise FlawmapError(
            f"Line {first[0]} of {path} was written in {_kind(first[1])}, line {number} in "
            f"{_kind(record)}: give a file with lines of one precision."
        )


def _kind(record: InspectionRecord) -> str:
    """Return which calibration a score belongs to: INT8 has one per runtime."""
    precision, backend = record.precision, record.backend
    return f"{precision} on {backend}" if precision == "int8" else precision


def _calibration(
    run: Path, manifest: Manifest, path: Path, first: tuple[int, InspectionRecord] | None
) -> Calibration:
    """Return the calibration whose scores are comparable with those of the records."""
    calibration: Calibration | None = manifest.calibration
    if first is not None:
        number, record = first
        calibration = calibration_of(manifest, record.precision, record.backend)
        if calibration is None:
            raise FlawmapError(
                f"Line {number} of {path} was written in {_kind(record)}, for which {run} has no "
                "thresholds now: export it again."
            )
    assert calibration is not None
    if calibration.folds:
        raise FlawmapError(
            f"{run} was calibrated by folds: other models scored those images, so drift could "
            "raise an alarm though nothing changed. Calibrate on good images that it was not "
            f"trained on: flawmap calibrate {run} GOOD_IMAGES"
        )
    return calibration
