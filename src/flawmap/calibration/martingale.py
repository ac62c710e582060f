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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

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
    test = DriftTest(calibration, rate)
    test.extend(scores)
    return test.evidence


class DriftTest:
    """The test of :func:`find_drift` while parts arrive: the result is the same to the last bit.

    ``tested`` is the number of scores until now, ``capital`` the logarithm of the gambler's capital
    after the last one, and ``evidence`` the result until now. Raises UsageError if ``rate`` is not
    within 0 < rate < 1.
    """

    def __init__(self, calibration: Sequence[float], rate: float) -> None:
        if not 0.0 < rate < 1.0:
            raise UsageError(
                f"The false-alarm rate {rate} is out of range: give one between 0 and 1."
            )
        self._ranks = Ranks(calibration)
        self._bets = Bets()
        self._limit = -np.log(rate)
        self.evidence = Evidence(1.0)
        self.capital = 0.0

    @property
    def tested(self) -> int:
        """Number of scores tested."""
        return self._ranks.ranked

    def extend(self, scores: Sequence[float]) -> NDArray[np.float64]:
        """Test further scores (T,); return log capital (t,) after each until the test's end."""
        if not len(scores) or self.evidence.alarm_at is not None:
            return np.empty(0)
        before = self.tested
        kept, staked = self._bets.extend(self._ranks.extend(scores))
        total: NDArray[np.float64] = np.logaddexp(kept, np.logaddexp(*staked))
        (alarms,) = np.nonzero(total >= self._limit)
        if not len(alarms):
            highest = float(np.exp(max(0.0, total.max())))
            self.evidence = Evidence(max(self.evidence.value, highest))
            self.capital = float(total[-1])
            return total
        first = int(alarms[0])
        direction: Direction = "higher" if staked[0, first] >= staked[1, first] else "lower"
        self.evidence = Evidence(float(np.exp(total[first])), before + first, direction)
        self.capital = float(total[first])
        return total[: first + 1]

    def state(self) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """Return all that :meth:`restore` needs: JSON types, and the sorted scores (n,)."""
        values = {"bets": self._bets.state(), "tested": self.tested, "capital": self.capital}
        return values | {"evidence": asdict(self.evidence)}, self._ranks.ordered

    @classmethod
    def restore(
        cls, values: Mapping[str, Any], ordered: NDArray[np.float64], rate: float
    ) -> DriftTest:
        """Go on with a test where :meth:`state` was called."""
        test = cls(ordered.tolist(), rate)
        test._ranks.skip(int(values["tested"]))
        test._bets = Bets.restore(values["bets"])
        test.capital = float(values["capital"])
        test.evidence = Evidence(**values["evidence"])
        return test


class Ranks:
    """Conformal p-values of scores as they arrive; ``ordered`` (n,) holds all known scores."""

    _BLOCK = 2048  # scores put in order one by one, before they are merged with all others

    def __init__(self, calibration: Sequence[float]) -> None:
        self.ordered = np.sort(np.asarray(calibration, dtype=np.float64))
        self.ranked = 0
        self._chance = generator(0, Stream.DRIFT)

    def skip(self, count: int) -> None:
        """Go on after ``count`` scores, which ``ordered`` holds already."""
        self._chance.random(count)
        self.ranked = count

    def extend(self, scores: Sequence[float]) -> NDArray[np.float64]:
        """Return the p-values (T,) of further scores (T,)."""
        values = np.asarray(scores, dtype=np.float64)
        blocks = range(0, len(values), self._BLOCK)
        return np.concatenate([self._block(values[i : i + self._BLOCK]) for i in blocks])

    def _block(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        chance = self._chance.random(len(scores))
        first = np.searchsorted(self.ordered, scores, "left")
        end = np.searchsorted(self.ordered, scores, "right")
        new: list[float] = []
        for index, score in enumerate(scores.tolist()):
            low, high = bisect_left(new, score), bisect_right(new, score)
            first[index] += low
            end[index] += high
            new.insert(low, score)
        count = len(self.ordered) + np.arange(len(scores))
        self.ordered = np.sort(np.concatenate([self.ordered, new]), kind="stable")
        self.ranked += len(scores)
        p_values: NDArray[np.float64] = (count - end + chance * (end - first + 1)) / (count + 1)
        return p_values


def conformal_p_values(
    calibration: Sequence[float], scores: Sequence[float]
) -> NDArray[np.float64]:
    """Return p-values (T,) of ``scores`` (T,), each among ``calibration`` and the scores before it.

    The result is deterministic, and further scores do not change earlier p-values.

    >>> bool(conformal_p_values([0.1, 0.2, 0.3], [0.4])[0] < 1 / 4)
    True
    """
    return Ranks(calibration).extend(scores) if len(scores) else np.empty(0)


class Bets:
    """Capital of the gambler who bets on p-values as they arrive."""

    def __init__(self) -> None:
        self._slopes = np.outer((1.0, -1.0), _STEEPNESS).ravel()
        self._growth = np.zeros((len(self._slopes), 1))
        self._stakes = np.full((len(self._slopes), 1), -np.inf)
        self._parts = 0

    def extend(
        self, p_values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log capital after each further part: not yet staked (T,), and staked (2, T).

        The rows of the latter bet on higher and on lower scores. The sum of all three capitals is a
        martingale starting at 1 if all p-values are independent and uniform.
        """
        part = self._parts + np.arange(1, len(p_values) + 1)
        gain = np.log1p(self._slopes[:, None] * (0.5 - p_values))
        growth = np.cumsum(np.hstack([self._growth, gain]), axis=1)[:, 1:]
        stake = -np.log(len(self._slopes) * part * (part + 1.0))  # 1/2 + 1/6 + 1/12 + ... = 1
        stakes = np.hstack([self._stakes, stake - (growth - gain)])
        stakes = np.logaddexp.accumulate(stakes, axis=1)[:, 1:]
        self._growth, self._stakes = growth[:, -1:], stakes[:, -1:]
        self._parts += len(p_values)
        capital = (growth + stakes).reshape(2, len(_STEEPNESS), -1)
        return -np.log(part + 1.0), np.logaddexp.reduce(capital, axis=1)

    def state(self) -> dict[str, Any]:
        """Return all that :meth:`restore` needs, as JSON types; at least one part was bet on."""
        return {
            "growth": self._growth[:, 0].tolist(),
            "stakes": self._stakes[:, 0].tolist(),
            "parts": self._parts,
        }

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Bets:
        """Go on where :meth:`state` was called."""
        bets = cls()
        bets._growth = np.asarray(values["growth"], dtype=np.float64)[:, None]
        bets._stakes = np.asarray(values["stakes"], dtype=np.float64)[:, None]
        bets._parts = int(values["parts"])
        return bets


def log_capital(p_values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log capital after each part as :meth:`Bets.extend` does, from the first part on."""
    return Bets().extend(p_values)
