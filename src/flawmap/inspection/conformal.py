"""Thresholds from held-out good images, by split-conformal quantiles.

With n held-out good scores that are exchangeable with those of future good parts, a part whose
score exceeds the k-th largest of them is one of at most k among n + 1: rejecting above it rejects
at most k / (n + 1) of good parts on average (Vovk, Gammerman & Shafer, 2005, chapter 2). This is
the mean over draws of the n. For one draw of independent parts the rejected share is distributed
as Beta(k, n + 1 - k) or, with tied scores, smaller (Vovk, "Conditional validity of inductive
conformal predictors", 2012, section 2); the count among the next m parts is beta-binomial.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from flawmap.errors import FlawmapError, UsageError

CONFIDENCE = 0.95


class Threshold(BaseModel):
    """Scores above ``value`` trigger the verdict; at most ``rate`` of good parts exceed it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    asked: float = Field(description="false-reject rate asked for")
    rate: float = Field(description="false-reject rate that the images can vouch for")


class Calibration(BaseModel):
    """Held-out scores and the thresholds derived from them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scores: tuple[float, ...] = Field(
        min_length=1, description="image scores, held-out good images"
    )
    peaks: tuple[float, ...] = Field(min_length=1, description="highest map value of each")
    images: tuple[str, ...] = Field((), description="SHA-256 of each image's file, where known")
    folds: int = Field(
        0,
        ge=0,
        description="fold models whose out-of-fold scores are pooled; 0 for held-out images",
    )
    places: tuple[str, ...] = Field(
        (),
        description="where the images lay, beside the folder trained from: a folder with all below "
        "it, or FOLDER/* for images directly in it",
    )
    left_out: tuple[str, ...] = Field(
        (), description="SHA-256 of each image left out because its score stood apart"
    )
    reused: int = Field(
        0,
        ge=0,
        description="earlier runs whose thresholds some or all of these images set, and so chose "
        "the parts that later runs learned from",
    )
    reject: Threshold
    review: Threshold
    pixel: Threshold

    @model_validator(mode="after")
    def _consistent(self) -> Calibration:
        """Reject inconsistent scores and thresholds, as in a file edited by hand."""
        count = len(self.scores)
        if len(self.peaks) != count:
            raise ValueError(f"there are {count} scores, but {len(self.peaks)} map maxima")
        if len(self.images) not in (0, count):
            raise ValueError(f"there are {count} scores, but {len(self.images)} images")
        if self.review.value > self.reject.value or self.review.asked < self.reject.asked:
            raise ValueError("the review threshold is above the reject threshold")
        if not all(0.0 < limit.asked < 1.0 and 0.0 < limit.rate < 1.0 for limit in self._limits):
            raise ValueError("a rate is not between 0 and 1")
        return self

    @property
    def _limits(self) -> tuple[Threshold, Threshold, Threshold]:
        return self.reject, self.review, self.pixel

    @property
    def computed(self) -> bool:
        """Whether the thresholds were computed from the scores and not set by hand."""
        sources = (self.scores, self.scores, self.peaks)
        return all(
            limit == conformal_threshold(scores, limit.asked)
            for limit, scores in zip(self._limits, sources, strict=True)
        )

    @classmethod
    def from_scores(
        cls,
        scores: Sequence[float],
        max_map_values: Sequence[float],
        *,
        false_reject: float = 0.01,
        review: float = 0.05,
        images: Sequence[str] = (),
        folds: int = 0,
        places: Sequence[str] = (),
        left_out: Sequence[str] = (),
        reused: int = 0,
    ) -> Calibration:
        """Compute the thresholds from scores and map maxima of held-out good images.

        ``images``: SHA-256 of each file. ``folds``: number of fold models, each of which scored the
        images it was not trained on. ``places``, ``left_out`` and ``reused``: see the fields.
        Raises as :func:`conformal_threshold`, and UsageError if the lengths do not match.
        """
        if len(max_map_values) != len(scores) or len(images) not in (0, len(scores)):
            raise UsageError(
                f"The numbers of scores ({len(scores)}), map maxima ({len(max_map_values)}) and "
                f"digests ({len(images)}) differ: give one of each per image, or no digest at all."
            )
        return cls(
            folds=folds,
            places=tuple(places),
            left_out=tuple(left_out),
            reused=reused,
            scores=tuple(float(s) for s in scores),
            peaks=tuple(float(value) for value in max_map_values),
            images=tuple(images),
            reject=conformal_threshold(scores, false_reject),
            review=conformal_threshold(scores, max(review, false_reject)),
            pixel=conformal_threshold(max_map_values, false_reject),
        )

    def p_value(self, score: float) -> float:
        """Share of good parts scoring at least this: ``(1 + #{held-out >= score}) / (n + 1)``."""
        return p_value(self.scores, score)

    def verdict(self, score: float) -> str:
        """Return ``reject`` above the reject threshold, ``review`` above review, else ``good``."""
        if score > self.reject.value:
            return "reject"
        return "review" if score > self.review.value else "good"

    def bound(self, threshold: Threshold) -> float:
        """Return the upper bound of a threshold's false-reject rate with 95 % confidence."""
        count = len(self.scores)
        return rejection_bound(min(count, max(1, round(threshold.rate * (count + 1)))), count)

    def statement(self) -> str:
        """State the guarantee in words; or, for folds, what is expected but not guaranteed.

        Fold models were trained on fewer parts and tend to score higher than the inspector itself,
        but this is not guaranteed (Barber et al., "Predictive inference with the jackknife+", 2021,
        show how far it can go wrong, and what keeping all fold models would guarantee).
        """
        count = len(self.scores)
        if not self.computed:
            return (
                f"The thresholds were set by hand: the scores of these {count} good images "
                "guarantee nothing about them. flawmap calibrate computes them again."
            )
        if self.folds:
            return (
                f"Of good parts like these {count}, about {rounded_up(self.reject.rate)} are "
                f"expected to be rejected and {rounded_up(self.pixel.rate)} to show any marked "
                f"pixel. This is no guarantee: each was scored by one of {self.folds} fold models "
                f"that was not trained on it, and the inspector was trained on all {count}. Other "
                "good parts give a guarantee: flawmap calibrate." + self._about_left_out()
            )
        words = (
            f"Of good parts like these {count}, at most {rounded_up(self.reject.rate)} on average "
            f"will be rejected; with {CONFIDENCE:.0%} confidence over the draw of the {count}, at "
            f"most {rounded_up(self.bound(self.reject))}."
        )
        if self.review.value < self.reject.value:
            words += (
                f" Sent to review or rejected: at most {rounded_up(self.review.rate)} on average, "
                f"{rounded_up(self.bound(self.review))} with that confidence."
            )
        words += f" With any marked pixel: at most {rounded_up(self.pixel.rate)} on average."
        if self.reject.rate > self.reject.asked:
            words += (
                f" The requested rate of {rounded_up(self.reject.asked)} takes at least "
                f"{images_needed(self.reject.asked)} good images that it was not trained on."
            )
        return words + self._about_reuse() + self._about_left_out()

    def _about_reuse(self) -> str:
        """State what repeated use of the same images does to the guarantee; empty at first use."""
        if not self.reused:
            return ""
        runs = "an earlier run" if self.reused == 1 else f"{self.reused} earlier runs"
        return (
            f" Images among these {len(self.scores)} also set the thresholds of {runs}, by which "
            "parts were chosen that this one learned from: the rates hold nearly, not exactly. "
            "flawmap calibrate with other good parts makes them exact."
        )

    def _about_left_out(self) -> str:
        """State how left-out images limit the guarantee; empty if none were left out."""
        count = len(self.left_out)
        if not count:
            return ""
        which = "1 outlier was" if count == 1 else f"{count} outliers were"
        return (
            f" {which} left out of the good images: nothing is guaranteed for good parts "
            f"like {'it' if count == 1 else 'them'}."
        )


def rounded_up(rate: float) -> str:
    """Format as percent with one decimal, rounded up, as it states a guarantee.

    >>> rounded_up(1 / 12), rounded_up(0.01)
    ('8.4%', '1.0%')
    """
    return f"{np.ceil(1000.0 * rate - 1e-9) / 10.0:.1f}%"


def p_value(scores: Sequence[float], score: float) -> float:
    """Return the split-conformal p-value of ``score`` among held-out good ``scores``.

    >>> p_value([0.1, 0.2, 0.3], 0.25)
    0.5
    """
    at_least = int(np.count_nonzero(np.asarray(scores) >= score))
    return (1 + at_least) / (len(scores) + 1)


def images_needed(rate: float) -> int:
    """Return the minimum number of held-out good images that can guarantee a false-reject rate.

    >>> images_needed(0.01)
    99
    """
    return max(1, int(np.ceil(1.0 / rate - 1e-9)) - 1)


def rejection_bound(rank: int, count: int, future: int | None = None) -> float:
    """Return the share of good parts above the ``rank``-th largest of ``count`` that is not
    exceeded in 95 of 100 draws: of the next ``future`` parts if given, else of all.

    >>> round(rejection_bound(1, 59), 3), round(rejection_bound(1, 59, 20), 3)
    (0.05, 0.1)
    """
    from scipy import special

    if future is None:
        return float(special.betaincinv(rank, count + 1 - rank, CONFIDENCE))
    # Number j of the next parts above the rank-th largest, if all count + future are exchangeable:
    # log of C(j + rank - 1, j) C(count - rank + future - j, future - j) / C(count + future, future)
    j = np.arange(future + 1)
    rest = count - rank
    ways = _log_choose(j + rank - 1, j) + _log_choose(rest + future - j, future - j)
    shares = np.exp(ways - _log_choose(np.array(count + future), np.array(future)))
    return float(np.searchsorted(np.cumsum(shares), CONFIDENCE - 1e-12)) / future


def _log_choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> NDArray[np.float64]:
    from scipy.special import gammaln

    value: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return value


def share_interval(hits: int, total: int) -> tuple[float, float]:
    """Return Clopper and Pearson's 95 % interval of the share behind ``hits`` of ``total`` (1934).

    >>> [round(end, 3) for end in share_interval(9, 10)]
    [0.555, 0.997]
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= total or total < 1:
        raise UsageError(f"Invalid share {hits}/{total}: give 0 to {total} hits of at least 1.")
    tail = (1.0 - CONFIDENCE) / 2.0
    low = betaincinv(hits, total - hits + 1, tail) if hits else 0.0
    high = betaincinv(hits + 1, total - hits, 1.0 - tail) if hits < total else 1.0
    return float(low), float(high)


def conformal_threshold(scores: Sequence[float], rate: float) -> Threshold:
    """Return the k-th largest score, with the largest k with k / (n + 1) <= ``rate``, at least 1.

    Raises UsageError if ``rate`` is not within 0 < rate < 1 or there is no score, FlawmapError if a
    score is not finite.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"The false-reject rate {rate} is out of range: give one between 0 and 1.")
    count = len(scores)
    if count == 0:
        raise UsageError("A threshold needs the score of at least one held-out good image.")
    if not np.isfinite(np.asarray(scores, dtype=np.float64)).all():
        raise FlawmapError(
            "The score of a held-out good image is not finite: train with another --seed."
        )
    rank = min(count, max(1, int(np.floor(rate * (count + 1) + 1e-9))))
    value = float(np.sort(np.asarray(scores, dtype=np.float64))[count - rank])
    return Threshold(value=value, asked=rate, rate=rank / (count + 1))
