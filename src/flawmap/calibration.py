"""Thresholds from held-out good images, by split-conformal quantiles.

With n held-out good scores that are exchangeable with those of future good parts, a part whose
score exceeds the k-th largest of them is one of at most k among n + 1: rejecting above it rejects
at most k / (n + 1) of good parts on average (Vovk, Gammerman & Shafer, 2005, chapter 2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from flawmap.errors import FlawmapError, UsageError


class Threshold(BaseModel):
    """A score above ``value`` is acted on; of good parts that befalls at most ``rate``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    asked: float = Field(description="false-reject rate asked for")
    rate: float = Field(description="false-reject rate that the images can vouch for")


class Calibration(BaseModel):
    """Held-out scores and the thresholds that come from them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scores: tuple[float, ...] = Field(
        min_length=1, description="image scores, held-out good images"
    )
    peaks: tuple[float, ...] = Field(min_length=1, description="highest map value of each")
    reject: Threshold
    review: Threshold
    pixel: Threshold

    def p_value(self, score: float) -> float:
        """Share of good parts at least as odd: ``(1 + #{held-out >= score}) / (n + 1)``."""
        return p_value(self.scores, score)

    def verdict(self, score: float) -> str:
        """``reject`` above the reject threshold, ``review`` above the review one, else ``good``."""
        if score > self.reject.value:
            return "reject"
        return "review" if score > self.review.value else "good"

    def statement(self) -> str:
        """The guarantee in words."""
        count = len(self.scores)
        words = (
            f"Of good parts like these {count} held-out ones, at most "
            f"{_rounded_up(self.reject.rate)} on average will be rejected"
        )
        if self.review.value < self.reject.value:
            words += f" and at most {_rounded_up(self.review.rate)} sent to review or rejected"
        words += f", and at most {_rounded_up(self.pixel.rate)} will show any marked pixel."
        if self.reject.rate > self.reject.asked:
            words += (
                f" Asked for was {_rounded_up(self.reject.asked)}: that takes at least "
                f"{images_needed(self.reject.asked)} held-out good images."
            )
        return words


def _rounded_up(rate: float) -> str:
    """Percent with one decimal, never less than ``rate``: it is a promise.

    >>> _rounded_up(1 / 12), _rounded_up(0.01)
    ('8.4%', '1.0%')
    """
    return f"{np.ceil(1000.0 * rate - 1e-9) / 10.0:.1f}%"


def p_value(scores: Sequence[float], score: float) -> float:
    """Split-conformal p-value of ``score`` among held-out good ``scores``.

    >>> p_value([0.1, 0.2, 0.3], 0.25)
    0.5
    """
    at_least = int(np.count_nonzero(np.asarray(scores) >= score))
    return (1 + at_least) / (len(scores) + 1)


def images_needed(rate: float) -> int:
    """Fewest held-out good images that can vouch for a false-reject rate.

    >>> images_needed(0.01)
    99
    """
    return max(1, int(np.ceil(1.0 / rate - 1e-9)) - 1)


def conformal_threshold(scores: Sequence[float], rate: float) -> Threshold:
    """The k-th largest score, k the most that keeps k / (n + 1) within ``rate``, at least 1.

    Raises UsageError where ``rate`` is not within 0 < rate < 1 or there is no score, FlawmapError
    where a score is not a number.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"A false-reject rate of {rate} makes no sense: give one between 0 and 1.")
    count = len(scores)
    if count == 0:
        raise UsageError("A threshold needs the score of at least one held-out good image.")
    if not np.isfinite(np.asarray(scores, dtype=np.float64)).all():
        raise FlawmapError(
            "A held-out good image scored no finite number: train with another --seed."
        )
    rank = min(count, max(1, int(np.floor(rate * (count + 1) + 1e-9))))
    value = float(np.sort(np.asarray(scores, dtype=np.float64))[count - rank])
    return Threshold(value=value, asked=rate, rate=rank / (count + 1))


def calibrate(
    scores: Sequence[float],
    peaks: Sequence[float],
    *,
    false_reject: float = 0.01,
    review: float = 0.05,
) -> Calibration:
    """Thresholds of verdict and mask from held-out good images' scores and map maxima."""
    return Calibration(
        scores=tuple(float(s) for s in scores),
        peaks=tuple(float(p) for p in peaks),
        reject=conformal_threshold(scores, false_reject),
        review=conformal_threshold(scores, max(review, false_reject)),
        pixel=conformal_threshold(peaks, false_reject),
    )
