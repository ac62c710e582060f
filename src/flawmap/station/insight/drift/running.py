"""One running drift test, and its row in the database."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from flawmap.calibration.martingale import DriftTest
from flawmap.inspection.conformal import Calibration
from flawmap.station.database.tables import DriftTestRow
from flawmap.station.insight.drift.curve import Curve

RATE = 0.01  # probability of ever raising an alarm while nothing changes
_SAVE_EACH = 1000  # parts at least
_SAVE_SHARE = 0.05  # or this share of those tested: all scores are saved each time


class Arrived(NamedTuple):
    """What a drift test reads of a part."""

    id: int
    product_id: int
    received_at: int
    score: float
    model: str
    settings: str


@dataclass(eq=False)
class RunningTest:
    """Drift test of a product's parts with one model and one version of settings.

    As in `flawmap drift`, parts that score the reject threshold or more are left out, and so are
    such calibration scores.
    """

    product_id: int
    model: str
    settings: str
    started_at: int
    limit: float
    test: DriftTest | None
    impossible: str | None = None
    id: int | None = None
    left_out: int = 0
    tested_at: int = 0
    alarm: Arrived | None = None
    ended_at: int | None = None
    ended_by: int | None = None
    curve: Curve = field(default_factory=Curve)
    saved: int = 0
    """Parts that were tested when it was saved."""

    @classmethod
    def begin(cls, first: Arrived, calibration: Calibration | None) -> RunningTest:
        """Begin a test with the thresholds that judged the part `first`."""
        own = first.product_id, first.model, first.settings, first.received_at
        why = _why_not(calibration)
        if calibration is None or why is not None:
            return cls(*own, limit=math.inf, test=None, impossible=why)
        limit = calibration.reject.value
        before = [score for score in calibration.scores if score < limit]
        return cls(*own, limit=limit, test=DriftTest(before, RATE))

    @property
    def tested(self) -> int:
        """Number of parts tested."""
        return 0 if self.test is None else self.test.tested

    @property
    def must_be_saved(self) -> bool:
        """Whether so much was tested since it was saved that it should be again."""
        new = self.tested - self.saved
        return self.id is None or new >= max(_SAVE_EACH, _SAVE_SHARE * self.tested)

    def extend(self, parts: Sequence[Arrived]) -> bool:
        """Test further parts, in order; return whether the alarm came with one of them."""
        if self.test is None or self.alarm is not None:
            return False
        tested = [part for part in parts if part.score < self.limit]
        capital = self.test.extend([part.score for part in tested])
        read = tested[: len(capital)]
        self.curve.extend([part.received_at for part in read], (capital / math.log(10)).tolist())
        self.tested_at = read[-1].received_at if read else self.tested_at
        if self.test.evidence.alarm_at is not None:
            self.alarm = read[-1]
            parts = parts[: parts.index(self.alarm)]  # those after it were not read
        self.left_out += sum(part.score >= self.limit for part in parts)
        return self.alarm is not None

    def save(self, session: Session) -> None:
        """Write the row; a test that is new gets its id."""
        row = session.get(DriftTestRow, self.id) if self.id is not None else None
        if row is None:
            row = DriftTestRow(
                product_id=self.product_id,
                model=self.model,
                settings=self.settings,
                rate=RATE,
                started_at=self.started_at,
                impossible=self.impossible,
            )
            session.add(row)
        row.tested, row.left_out, row.tested_at = self.tested, self.left_out, self.tested_at
        row.ended_at, row.ended_by = self.ended_at, self.ended_by
        row.curve, row.evidence, row.state, row.ordered = self.curve.to_dict(), 1.0, {}, b""
        if self.test is not None and self.tested:
            row.state, ordered = self.test.state()
            row.ordered = zlib.compress(np.asarray(ordered, "<f8").tobytes(), 1)
            row.evidence = self.test.evidence.value
        if self.alarm is not None and self.test is not None:
            row.alarm_part_id, row.alarm_at = self.alarm.id, self.alarm.received_at
            row.direction = self.test.evidence.direction
        session.flush()
        self.id, self.saved = row.id, self.tested

    @classmethod
    def restore(cls, row: DriftTestRow, calibration: Calibration | None) -> RunningTest:
        """Go on with a test as it was saved."""
        first = Arrived(0, row.product_id, row.started_at, 0.0, row.model, row.settings)
        running = cls.begin(first, calibration)
        if running.test is not None and row.tested:
            ordered = np.frombuffer(zlib.decompress(row.ordered), "<f8")
            running.test = DriftTest.restore(row.state, ordered, row.rate)
        running.id, running.left_out, running.tested_at = row.id, row.left_out, row.tested_at
        running.curve, running.saved = Curve.from_dict(row.curve), row.tested
        if row.alarm_part_id is not None and row.alarm_at is not None:
            running.alarm = first._replace(id=row.alarm_part_id, received_at=row.alarm_at)
        return running


def _why_not(calibration: Calibration | None) -> str | None:
    """Return why the parts cannot be tested, or None; the reasons are those of `flawmap drift`."""
    if calibration is None:
        return "The settings that judged these parts are not among the product's versions."
    if calibration.folds:
        return (
            "The inspector was calibrated by folds: other models scored those images. Calibrate on "
            "good images that it was not trained on: flawmap calibrate RUN GOOD_IMAGES."
        )
    if calibration.left_out and calibration.reject.value > max(calibration.scores):
        return (
            "Good images with high scores were left out of the calibration, and the reject "
            "threshold is above all others: good parts could raise an alarm though nothing changed."
        )
    return None
