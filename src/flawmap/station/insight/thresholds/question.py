"""The question of the thresholds page, and its answer as it goes to the browser."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.station.context import Station
from flawmap.station.database.tables import Product
from flawmap.station.insight.errors import ErrorRates, table_of
from flawmap.station.insight.thresholds.apply import folder_of
from flawmap.station.insight.thresholds.kept import StoredCache
from flawmap.station.insight.thresholds.maps import MapMeasures
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.insight.thresholds.stored import Range, StoredParts
from flawmap.station.insight.thresholds.whatif import EXCLUDED, WhatIf, counts, what_if
from flawmap.station.insight.versions import Settings, differences

_CACHE = "insight.stored"  # key of what a station shares
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


class Question(BaseModel):
    """Which parts, and which settings to try; what is not given stays as it is."""

    start: int = Field(0, ge=0, lt=2**53, description="microseconds since 1970, UTC")
    end: int = Field(2**53, ge=0, le=2**53, description="before this moment")
    line: str | None = Field(None, max_length=100)
    false_reject: _Rate | None = Field(None, description="share of good parts that is rejected")
    review: _Rate | None = Field(None, description="share that is rejected or sent to review")
    reject_value: _Number | None = Field(None, description="reject threshold set by hand")
    review_value: _Number | None = Field(None, description="review threshold set by hand")
    min_area: _Size | None = Field(None, description="smallest area of a defect, image pixels")
    min_peak: _Size | None = Field(None, description="smallest highest map value of a defect")
    merge_distance: _Size | None = Field(None, description="regions about as near are one")

    def proposal(self, manifest: Manifest) -> Proposal:
        """Return the settings to try; the half of a pair that is not given is the present one.

        Raises UsageError if they do not go together.
        """
        limits, filters = manifest.calibration, manifest.filters
        values: dict[str, object] = {}
        if self.false_reject is not None or self.review is not None:
            values["rates"] = {
                "false_reject": self.false_reject or limits.reject.asked,
                "review": self.review or limits.review.asked,
            }
        if self.reject_value is not None or self.review_value is not None:
            values["values"] = {
                "reject": _given(self.reject_value, limits.reject.value),
                "review": _given(self.review_value, limits.review.value),
            }
        values["filters"] = {
            name: _given(getattr(self, name), getattr(filters, name))
            for name in ("min_area", "min_peak", "merge_distance")
        }
        try:
            return Proposal.model_validate(values)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UsageError(f"{message[:1].upper()}{message[1:]}.") from error


def _given(value: float | None, present: float) -> float:
    return present if value is None else value


class Limits(BaseModel):
    """Thresholds and filters that were tried."""

    reject: float
    review: float
    pixel: float
    false_reject_rate: float = Field(description="that the calibration images can vouch for")
    review_rate: float
    computed: bool = Field(description="whether the thresholds follow from the calibration")
    statement: str = Field(description="what is guaranteed about them, or why nothing is")


class WhatIfAnswer(BaseModel):
    """What would have changed. Verdicts are in the order good, review, reject."""

    parts: int = Field(description="parts with a verdict in the range")
    truncated: bool = Field(description="the range holds more parts: only the newest were judged")
    counts: list[list[int]] = Field(
        description="by verdict then (row) and with these settings; the last column is undecided"
    )
    changed: int
    waiting: int = Field(description="parts whose map is still to be read: ask again")
    without_map: int = Field(description="parts that cannot be decided, as their map is not stored")
    excluded: int = Field(description="parts of another model, whose scores mean something else")
    limits: Limits
    differences: list[dict[str, str]] = Field(description="from the settings in force")
    reviewed: int
    before: ErrorRates
    after: ErrorRates
    sample_reviewed: int = Field(description="reviewed parts of the random sample")
    sample_before: ErrorRates
    sample_after: ErrorRates
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Asked:
    """A question that was answered: the parts, their verdicts, and the manifest that gave them."""

    stored: StoredParts
    result: WhatIf
    manifest: Manifest
    changed: Manifest


def stored_parts(station: Station, session: Session, chosen: Range) -> StoredParts:
    """Return the parts of a range, most of them from memory if they were asked for lately."""
    cache = station.shared.setdefault(_CACHE, StoredCache())
    assert isinstance(cache, StoredCache)
    return cache.get(session, chosen)


def ask(
    station: Station, session: Session, product: Product, question: Question, seconds: float
) -> Asked:
    """Judge the stored parts with the settings to try; maps are read for about `seconds`.

    Raises FlawmapError if the product has no inspector, UsageError for impossible settings.
    """
    folder = folder_of(session, product)
    manifest = read_manifest(folder)
    changed = question.proposal(manifest).apply(manifest)
    chosen = Range(product.id, question.start, question.end, question.line)
    stored = stored_parts(station, session, chosen)
    maps = MapMeasures(station.database, station.files, folder)
    result = what_if(session, stored, changed, maps, seconds)
    return Asked(stored=stored, result=result, manifest=manifest, changed=changed)


def answer(
    station: Station, session: Session, product: Product, question: Question, seconds: float = 0.0
) -> WhatIfAnswer:
    """Answer a question in numbers. Raises as :func:`ask`."""
    begun = time.perf_counter()
    asked = ask(station, session, product, question, seconds)
    stored, result = asked.stored, asked.result
    table = counts(stored, result)
    judged = result.verdict != EXCLUDED
    sampled = judged & stored.sampled
    rows = differences(Settings.of(asked.manifest), Settings.of(asked.changed))
    return WhatIfAnswer(
        parts=len(stored),
        truncated=stored.truncated,
        counts=table,
        changed=sum(map(sum, table))
        - sum(row[3] for row in table)
        - sum(table[i][i] for i in range(3)),
        waiting=result.waiting,
        without_map=result.without_map,
        excluded=result.excluded,
        limits=_limits(asked.changed),
        differences=rows,
        reviewed=_reviewed(stored, judged),
        before=_rates(stored, stored.verdict, judged),
        after=_rates(stored, result.verdict, judged),
        sample_reviewed=_reviewed(stored, sampled),
        sample_before=_rates(stored, stored.verdict, sampled),
        sample_after=_rates(stored, result.verdict, sampled),
        milliseconds=round(1000.0 * (time.perf_counter() - begun), 3),
    )


def _limits(manifest: Manifest) -> Limits:
    one = manifest.calibration
    return Limits(
        reject=one.reject.value,
        review=one.review.value,
        pixel=one.pixel.value,
        false_reject_rate=one.reject.rate,
        review_rate=one.review.rate,
        computed=one.computed,
        statement=one.statement(),
    )


def _reviewed(stored: StoredParts, chosen: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(chosen & (stored.decision >= 0)))


def _rates(stored: StoredParts, verdict: NDArray[np.int8], chosen: NDArray[np.bool_]) -> ErrorRates:
    return ErrorRates.of(table_of(verdict[chosen], stored.decision[chosen]))


class ScoreBins(BaseModel):
    """Histogram of stored scores: `edges` (n + 1,) and counts (n,) of each verdict then."""

    edges: list[float]
    good: list[int]
    review: list[int]
    reject: list[int]
    reviewed_good: list[int] = Field(description="parts that reviewers found good")
    reviewed_defective: list[int]


def score_bins(stored: StoredParts, limits: list[float], most: int = 120) -> ScoreBins:
    """Return the histogram of scores, wide enough to show the `limits`, too."""
    values = np.concatenate([stored.score, limits])
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if not math.isfinite(high - low) or high <= low:
        high = low + 1.0
    edges = np.linspace(low, high, most + 1)

    def count(chosen: NDArray[np.bool_]) -> list[int]:
        return [int(n) for n in np.histogram(stored.score[chosen], edges)[0]]

    good, review, reject = (count(stored.verdict == code) for code in range(3))
    return ScoreBins(
        edges=[float(edge) for edge in edges],
        good=good,
        review=review,
        reject=reject,
        reviewed_good=count(stored.decision == 0),
        reviewed_defective=count(stored.decision == 1),
    )
