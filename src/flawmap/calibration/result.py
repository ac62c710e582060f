"""Result of ``flawmap calibrate``: new thresholds and related findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flawmap.inspection.conformal import Calibration, share_interval


@dataclass(frozen=True)
class Recall:
    """Number of ``total`` known defective images that a verdict caught, and the 95 % interval of
    the underlying share (Clopper and Pearson)."""

    caught: int
    total: int
    interval: tuple[float, float]

    @classmethod
    def of(cls, caught: int, total: int) -> Recall:
        """Create from counts, computing the interval."""
        return cls(caught, total, share_interval(caught, total))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.caught} of {self.total} ({low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class Recalibration:
    """New thresholds and related findings.

    ``highest_scoring``: images to be checked by a person: a flawed one among the good spoils the
    thresholds. ``rejected`` and ``noticed``: recall of known defects that are rejected, and that
    are rejected or sent to review.
    """

    calibration: Calibration
    highest_scoring: tuple[tuple[Path, float], ...] = ()
    rejected: Recall | None = None
    noticed: Recall | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``calibrate --json`` writes."""
        limits = self.calibration
        thresholds = {
            name: limit.model_dump() | {"bound": limits.bound(limit)}
            for name, limit in zip(
                ("reject", "review", "pixel"),
                (limits.reject, limits.review, limits.pixel),
                strict=True,
            )
        }
        recalls = {"rejected": self.rejected, "noticed": self.noticed}
        return {
            "images": len(limits.scores),
            "statement": limits.statement(),
            **thresholds,
            "oddest": [{"path": str(path), "score": score} for path, score in self.highest_scoring],
            "recall": {
                name: {"caught": one.caught, "total": one.total, "interval": list(one.interval)}
                for name, one in recalls.items()
                if one is not None
            },
            "warnings": list(self.warnings),
        }
