"""How often the inspector errs, from parts that people reviewed, with exact intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from flawmap.inspection.conformal import share_interval

Table = Sequence[Sequence[int]]
"""Numbers of reviewed parts by verdict (good, review, reject) and by decision (good, reject)."""


class Share(BaseModel):
    """A share of parts with its 95 % interval (Clopper and Pearson); none without any part."""

    hits: int
    total: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, hits: int, total: int) -> Share:
        """Return the share of `hits` among `total` parts."""
        if total == 0:
            return cls(hits=0, total=0)
        low, high = share_interval(hits, total)
        return cls(hits=hits, total=total, value=hits / total, low=low, high=high)


class ErrorRates(BaseModel):
    """Errors among reviewed parts. A part decided `reject` counts as defective."""

    overkill: Share = Field(description="good parts that were rejected, of all good ones")
    escape: Share = Field(description="defective parts that passed as good, of all defective ones")
    good_of_rejected: Share = Field(description="good parts among those rejected")
    defective_of_passed: Share = Field(description="defective parts among those passed as good")

    @classmethod
    def of(cls, table: Table) -> ErrorRates:
        """Compute the rates from a table of counts."""
        (good_good, good_bad), (review_good, review_bad), (reject_good, reject_bad) = table
        return cls(
            overkill=Share.of(reject_good, good_good + review_good + reject_good),
            escape=Share.of(good_bad, good_bad + review_bad + reject_bad),
            good_of_rejected=Share.of(reject_good, reject_good + reject_bad),
            defective_of_passed=Share.of(good_bad, good_good + good_bad),
        )


def table_of(verdict: NDArray[np.int8], decision: NDArray[np.int8]) -> list[list[int]]:
    """Count parts (n,) by verdict 0..2 and decision 0..1; others are left out."""
    counts = np.zeros((3, 2), np.int64)
    decided = (decision >= 0) & (decision < 2) & (verdict >= 0) & (verdict < 3)
    np.add.at(counts, (verdict[decided], decision[decided]), 1)
    return [[int(cell) for cell in row] for row in counts]
