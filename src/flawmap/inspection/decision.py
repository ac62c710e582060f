"""Decision rule from score and defects to a verdict, shared by all commands."""

from __future__ import annotations

from typing import cast

from flawmap.inspection.conformal import Calibration
from flawmap.inspection.defects import Filters
from flawmap.types import Verdict


def decide(calibration: Calibration, filters: Filters, score: float, defects: int) -> Verdict:
    """Return the verdict for an image with this score and this many defects after filtering.

    Without filters only the score decides. Filters that can drop regions require more evidence:
    an image with no defect left is good, whether its regions were dropped or it had none. A higher
    score or an additional defect never improves the verdict, and filters never worsen it, so the
    guarantee of the thresholds holds.
    """
    if filters.drop and not defects:
        return "good"
    return cast(Verdict, calibration.verdict(score))
