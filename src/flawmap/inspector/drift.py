"""``flawmap drift``: do good parts still look like those that the inspector was calibrated on?"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flawmap.calibration import Calibration
from flawmap.datasets.base import plural
from flawmap.errors import FlawmapError
from flawmap.files import make_folder, write_json
from flawmap.inspector.manifest import Manifest, read_manifest
from flawmap.martingale import Direction, find_drift
from flawmap.targets import check_target


@dataclass(frozen=True)
class Drift:
    """What the lines of ``predict`` say of the parts since calibration."""

    parts: int
    """Parts that were tested."""
    rejected: int
    """Parts left out, as they scored the reject threshold or more."""
    skipped: int
    """Lines of pictures that could not be inspected."""
    alarm: bool
    alarm_at: int | None
    """Number of the line, from 1, with which the alarm was raised; the test ends there."""
    direction: Direction | None
    """Where the scores went."""
    evidence: float
    """Highest capital of the test's gambler; the alarm comes at 1 / false_alarm_rate."""
    false_alarm_rate: float

    def statement(self) -> str:
        """The finding in words."""
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
        """The object that ``drift --json`` writes."""
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
    in which the parts came. As long as good parts are as those held out for calibration, an alarm
    is ever raised with probability ``false_alarm`` at most, however often one asks as lines are
    added. Rejected parts are left out, and so are calibration scores that reach the threshold:
    given the threshold, the scores below it are exchangeable on both sides. With ``rejected`` all
    count: for parts that are known to be good. ``json_file``: file for the finding. Raises
    FlawmapError where a line is none of this inspector's, UsageError for a rate that is none.
    Source: see :mod:`flawmap.martingale`.
    """
    check_target(json_file, "false_alarm_rate", inputs=[scores])
    lines, skipped = _read(Path(scores))
    calibration = _calibration(read_manifest(Path(run)), lines, Path(scores))
    limit = math.inf if rejected else calibration.reject.value
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
    p_value: float


def _read(path: Path) -> tuple[list[_Line], int]:
    """Lines with a score, and how many have an error in its place."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FlawmapError(f"Cannot read {path}: {error.strerror}.") from error
    found = list(_lines(text, path))
    lines = [line for line in found if line is not None]
    return lines, len(found) - len(lines)


def _lines(text: bytes, path: Path) -> Iterator[_Line | None]:
    whole = text[: text.rfind(b"\n") + 1]  # --watch may be writing the last one
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            value = json.loads(line)
            if "error" in value:
                yield None
                continue
            found = _Line(number, float(value["score"]), float(value["p_value"]))
            if not math.isfinite(found.score):
                raise ValueError(found.score)
        except (ValueError, KeyError, TypeError) as error:
            raise FlawmapError(
                f"Line {number} of {path} is none of predict: give the file that "
                "predict --json or --watch wrote."
            ) from error
        yield found


def _calibration(manifest: Manifest, lines: list[_Line], path: Path) -> Calibration:
    """That of the inspector, or of the export in INT8, by which all lines were judged."""
    exports = [export.calibration for export in manifest.exports.values()]
    choices = [manifest.calibration, *(found for found in exports if found is not None)]
    strange = [_first_strange(choice, lines) for choice in choices]
    if None in strange:
        return choices[strange.index(None)]
    number = max(line.number for line in strange if line is not None)
    raise FlawmapError(
        f"Line {number} of {path} was not written with this inspector: give the run that wrote "
        "it, and a file with lines of one run in one precision."
    )


def _first_strange(calibration: Calibration, lines: list[_Line]) -> _Line | None:
    """The first line whose p-value is not that of its score."""
    for line in lines:
        if abs(calibration.p_value(line.score) - line.p_value) > 1e-9:
            return line
    return None
