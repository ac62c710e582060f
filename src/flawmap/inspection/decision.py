"""The one rule from score and defects to a verdict, shared by every verb."""

from __future__ import annotations

from typing import cast

from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.types import Verdict


def decide(calibration: Calibration, filters: Filters, score: float, defects: int) -> Verdict:
    """Verdict of an image with this score and this many defects left after the filters.

    Without filters the score alone decides. Filters that can drop regions ask for more evidence:
    an image without a defect left is good, whether they dropped its regions or it had none. So a
    higher score or one defect more never gives a better verdict, and filters never give a worse
    one, which keeps the promise of the thresholds.
    """
    if filters.drop and not defects:
        return "good"
    return cast(Verdict, calibration.verdict(score))
