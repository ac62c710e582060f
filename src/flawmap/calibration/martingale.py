"""Do scores still come as they did? A test that may look after every part, for ever.

Each score's conformal p-value is its rank among the calibration scores and all scores before it,
ties broken at random. While all are exchangeable these p-values are independent and uniform,
however few calibration scores there are. Ranks among the calibration scores alone would not be: one
unlucky draw of these would shift all of them.

A gambler who bets on such p-values with a capital of 1 comes to 1 / ``rate`` with probability at
most ``rate``, whenever one looks (Ville's inequality). This one sets aside a little before each
part, to bet from there on, that scores have grown or shrunk since: the bets of the "simple jumper",
which at most double with a part, so that no single part raises an alarm.

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
_STEEPNESS = (1.0, 1.8)  # of a bet, at most 2: for small shifts, and for large ones


@dataclass(frozen=True)
class Evidence:
    """What the test found; ``value`` is the highest that the capital has been before it ended."""

    value: float
    alarm_at: int | None = None
    """Index of the score at which the test ended."""
    direction: Direction | None = None


def find_drift(calibration: Sequence[float], scores: Sequence[float], rate: float) -> Evidence:
    """Test whether ``scores``, in the order in which they came, are as those of ``calibration``.

    While they are exchangeable an alarm is ever raised with probability at most ``rate``. The test
    ends with the alarm. Raises UsageError where ``rate`` is not within 0 < rate < 1.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"A false-alarm rate of {rate} makes no sense: give one between 0 and 1.")
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
    """P-values (T,) of ``scores`` (T,), each among ``calibration`` and the scores before it.

    The same scores give the same p-values, and so do the first of them alone.

    >>> bool(conformal_p_values([0.1, 0.2, 0.3], [0.4])[0] < 1 / 4)
    True
    """
    seen = sorted(calibration)
    chance = generator(0, Stream.DRIFT).random(len(scores))
    found = np.empty(len(scores))
    for index, score in enumerate(scores):
        first, end = bisect_left(seen, score), bisect_right(seen, score)
        at_least = len(seen) - end + chance[index] * (end - first + 1)
        found[index] = at_least / (len(seen) + 1)
        seen.insert(first, score)
    return found


def log_capital(p_values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the capital after each part: not yet at stake (T,), and at stake (2, T).

    The rows of the latter bet that scores are higher, and that they are lower. The sum of all three
    is a martingale that starts from 1 where the p-values (T,) are independent and uniform.
    """
    part = np.arange(1, len(p_values) + 1)
    slopes = np.outer((1.0, -1.0), _STEEPNESS).ravel()
    gain = np.log1p(slopes[:, None] * (0.5 - p_values))
    growth = np.cumsum(gain, axis=1)
    stake = -np.log(len(slopes) * part * (part + 1.0))  # 1/2 + 1/6 + 1/12 + ... = 1
    capital = growth + np.logaddexp.accumulate(stake - (growth - gain), axis=1)
    return -np.log(part + 1.0), np.logaddexp.reduce(capital.reshape(2, len(_STEEPNESS), -1), axis=1)
