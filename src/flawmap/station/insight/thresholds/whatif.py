"""What-if: the verdicts that stored parts would get with other settings, before any is applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from flawmap.inspection.bundle.manifest import Manifest, region_id, run_id
from flawmap.inspection.bundle.models import calibration_of
from flawmap.inspection.conformal import Calibration
from flawmap.station.insight.thresholds.evidence import LEFT, NONE, UNKNOWN, Rule, left
from flawmap.station.insight.thresholds.maps import MapMeasures, Question
from flawmap.station.insight.thresholds.stored import Kind, StoredParts, load_defects

GOOD, REVIEW, REJECT, UNDECIDED, EXCLUDED = 0, 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class WhatIf:
    """Verdicts (n,) of stored parts with other settings.

    UNDECIDED parts need their map, which was not read yet or is not stored (`without_map`).
    EXCLUDED parts were scored by another model, or in a precision without thresholds now.
    """

    verdict: NDArray[np.int8]
    waiting: int
    without_map: int

    @property
    def excluded(self) -> int:
        """Number of parts whose scores the settings do not apply to."""
        return int(np.count_nonzero(self.verdict == EXCLUDED))


def what_if(
    session: Session, stored: StoredParts, manifest: Manifest, maps: MapMeasures, seconds: float
) -> WhatIf:
    """Judge stored parts with the settings of `manifest`, as `flawmap judge` would.

    Scores and stored defects decide where they can. Maps are read for the other parts, for about
    `seconds`; what is read is kept, so that further calls go on.
    """
    verdict = np.full(len(stored), EXCLUDED, np.int8)
    waiting = missing = 0
    for number, kind in enumerate(stored.kinds):
        calibration = _calibration(kind, manifest)
        if calibration is None:
            continue
        judged = _Judged(session, stored, kind, manifest, calibration)
        own = stored.kind == number
        verdict[own] = judged.by_stored(own)[own]
        unknown = np.flatnonzero(own & (verdict == UNDECIDED))
        have = unknown[stored.has_map[unknown]]
        question = judged.question()
        answers = maps.answer(stored, have, question, seconds)
        for index, (score, remains) in answers.items():
            verdict[index] = judged.decide(score, remains)
        waiting += len(have) - len(answers)
        missing += len(unknown) - len(have)
    return WhatIf(verdict, waiting, missing)


def _calibration(kind: Kind, manifest: Manifest) -> Calibration | None:
    """Return the thresholds that apply to parts of a kind; None if there are none."""
    if kind.record.run != run_id(manifest):
        return None
    return calibration_of(manifest, kind.record.precision, kind.record.backend)


@dataclass(frozen=True, eq=False)
class _Judged:
    """Decision on parts of one kind."""

    session: Session
    stored: StoredParts
    kind: Kind
    manifest: Manifest
    calibration: Calibration

    @property
    def rule(self) -> Rule:
        return Rule(self.calibration.pixel.value, self.manifest.filters)

    def question(self) -> Question:
        return Question(self.kind.record.model, self.manifest, self.rule)

    def decide(self, score: float, remains: bool) -> int:
        if self.manifest.filters.drop and not remains:
            return GOOD
        return (score > self.calibration.review.value) + (score > self.calibration.reject.value)

    def by_stored(self, own: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return verdicts (n,) from scores and stored defects."""
        if self.kind.record.region != region_id(self.manifest):
            return np.full(len(self.stored), UNDECIDED, np.int8)  # scores were of another region
        scores, limits = self.stored.score, self.calibration
        verdict = (scores > limits.review.value).astype(np.int8) + (scores > limits.reject.value)
        verdict = verdict.astype(np.int8)
        if self.manifest.filters.drop:
            remains = self._remains(own & (verdict != GOOD))
            verdict[remains == NONE] = GOOD
            verdict[remains == UNKNOWN] = UNDECIDED
        return verdict

    def _remains(self, chosen: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return whether chosen parts (n,) have defects left; LEFT for the others."""
        before, answer = self.kind.settings, np.full(len(self.stored), LEFT, np.int8)
        limits = None
        if before is not None:
            limits = before.calibration_named(self.kind.record.settings)
        if before is None or limits is None:
            answer[chosen] = UNKNOWN
            return answer
        lists = load_defects(self.session, self.stored)
        found = left(lists, chosen, Rule(limits.pixel.value, before.filters), self.rule)
        answer[chosen] = found[chosen]
        return answer


def counts(stored: StoredParts, result: WhatIf) -> list[list[int]]:
    """Return the number of parts by verdict before (row) and after: good, review, reject, open."""
    table = np.zeros((3, 4), np.int64)
    judged = result.verdict != EXCLUDED
    np.add.at(table, (stored.verdict[judged], result.verdict[judged]), 1)
    return [[int(cell) for cell in row] for row in table]


def changed(stored: StoredParts, result: WhatIf) -> NDArray[np.intp]:
    """Return the parts whose verdict would change: largest step first, then the newest."""
    step = result.verdict.astype(np.int64) - stored.verdict
    moved = np.flatnonzero((step != 0) & (result.verdict < UNDECIDED))
    order = np.argsort(-np.abs(step[moved]), kind="stable")
    return moved[order]
