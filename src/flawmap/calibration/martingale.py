"""Anytime-valid test for drift in anomaly scores (conformal test martingale).

The conformal p-value of a score is its rank among the calibration scores and all scores before it,
with ties broken at random. While all scores are exchangeable, these p-values are independent and
uniform, however few calibration scores there are. Ranks among the calibration scores alone would
not be: one unlucky calibration draw would shift all of them.

A gambler who bets on such p-values with a capital of 1 ever reaches 1 / ``rate`` with probability
at most ``rate``, at any stopping time (Ville's inequality). Before each part this one stakes a
little more of its capital on scores having grown or shrunk from that part on: the bets of the
"simple jumper", which at most double per part, so that no single part raises an alarm.

Vovk, Gammerman & Shafer (2005), section 7.1; Vovk (2021), "Testing randomness online".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flawmap.errors import UsageError
from flawmap.utils.rng import Stream, generator

Direction = Literal["higher", "lower"]
_STEEPNESS = (1.0, 1.8)  # slopes of the bets, at most 2: one for small shifts, one for large


@dataclass(frozen=True)
class Evidence:
    """Result of the test; ``value`` is the highest capital reached before it ended."""

    value: float
    alarm_at: int | None = None
    """Index of the score at which the test ended."""
    direction: Direction | None = None


def find_drift(calibration: Sequence[float], scores: Sequence[float], rate: float) -> Evidence:
    """Test whether ``scores``, in order of arrival, are exchangeable with ``calibration``.

    While they are, the probability of ever raising an alarm is at most ``rate``. The test ends with
    the alarm. Raises UsageError if ``rate`` is not within 0 < rate < 1.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"The false-alarm rate {rate} is out of range: give one between 0 and 1.")
    if not len(scores):
        return Evidence(1.0)
    kept, staked = log_capital(conformal_p_values(calibration, scores))
    total = np.logaddexp(kept, np.logaddexp(*staked))
    (alarms,) = np.nonzero(total >= -np.log(rate))
    if not len(alarms):
        return Evidence(float(np.exp(max(0.0, total.max()))))
    first = int(alarms[0])
    higher = bool(staked[0, first] >= staked[1, first])
    return Evidence(float(np.exp(total[first])), first, "higher" if higher else "lower")


def conformal_p_values(
    calibration: Sequence[float], scores: Sequence[float]
) -> NDArray[np.float64]:
    """Return p-values (T,) of ``scores`` (T,), each among ``calibration`` and the scores before it.

    The result is deterministic, and further scores do not change earlier p-values.

    >>> bool(conformal_p_values([0.1, 0.2, 0.3], [0.4])[0] < 1 / 4)
    True
    """
    ordered = sorted(calibration)
    chance = generator(0, Stream.DRIFT).random(len(scores))
    p_values = np.empty(len(scores))
    for index, score in enumerate(scores):
        first, end = bisect_left(ordered, score), bisect_right(ordered, score)
        at_least = len(ordered) - end + chance[index] * (end - first + 1)
        p_values[index] = at_least / (len(ordered) + 1)
        ordered.insert(first, score)
    return p_values


def log_capital(p_values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log capital after each part: not yet staked (T,), and staked (2, T).

    The rows of the latter bet on higher and on lower scores. The sum of all three capitals is a
    martingale starting at 1 if the p-values (T,) are independent and uniform.
    """
    part = np.arange(1, len(p_values) + 1)
    slopes = np.outer((1.0, -1.0), _STEEPNESS).ravel()
    gain = np.log1p(slopes[:, None] * (0.5 - p_values))
    growth = np.cumsum(gain, axis=1)
    stake = -np.log(len(slopes) * part * (part + 1.0))  # 1/2 + 1/6 + 1/12 + ... = 1
    capital = growth + np.logaddexp.accumulate(stake - (growth - gain), axis=1)
    return -np.log(part + 1.0), np.logaddexp.reduce(capital.reshape(2, len(_STEEPNESS), -1), axis=1)
