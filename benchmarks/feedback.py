"""Promised and observed false-reject rates over five rounds of feedback, simulated.

``python benchmarks/feedback.py`` writes ``benchmarks/results/feedback.json``. Parts are points of a
normal distribution, defects lie apart in directions of which the first score knows little; the
score is a linear classifier, so that its rates over all future parts are known exactly. In each
round a model inspects a day's parts. The good ones that it rejects and the defects that it catches
are learned from, and the next model is calibrated. What becomes of rejected good parts differs:

- ``training``: they are only trained on, and the same images calibrate every round; as ``refine``.
- ``fresh``: likewise, but other images calibrate every round: what reuse costs is the difference.
- ``calibration``: they only join the images that calibrate.
- ``both``: they are trained on, and calibrate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import write_result

from flawmap.inspection.conformal import conformal_threshold

Array = NDArray[np.float64]

WAYS = ("training", "fresh", "calibration", "both")
ROUNDS, REPETITIONS = 5, 200
RATE, CALIBRATING = 0.05, 99
_DIMENSIONS, _TRAINED_ON = 40, 100
_DAY, _DEFECTIVE_SHARE = 400, 0.1
_APART, _TYPES, _SYNTHETIC = 4.5, 5, 200
_HARD_SHARE = 0.25  # of the good images, as in refine
_RIDGE = 5.0


@dataclass(frozen=True)
class Round:
    """What holds for all future parts after a round: 0 is the model before any feedback."""

    promised: float
    observed: float
    recall: float


@dataclass
class _Line:
    """A production line with the images of its model."""

    rng: np.random.Generator
    good: Array
    hard: Array
    defects: Array
    calibrating: Array
    types: Array  # (T, D) where defects lie

    @classmethod
    def start(cls, rng: np.random.Generator) -> _Line:
        synthetic = _APART * _directions(rng, _SYNTHETIC)
        return cls(
            rng,
            good=_parts(rng, _TRAINED_ON),
            hard=np.empty((0, _DIMENSIONS)),
            defects=_parts(rng, _SYNTHETIC) + synthetic,
            calibrating=_parts(rng, CALIBRATING),
            types=_APART * _directions(rng, _TYPES),
        )

    def learn(self) -> Array:
        """Return a unit vector whose product with a part is its score, by weighted ridge."""
        hard_each = _HARD_SHARE / (1 - _HARD_SHARE) * len(self.good) / max(1, len(self.hard))
        groups = [(self.good, 0.0, 1.0), (self.hard, 0.0, max(1.0, hard_each))]
        groups += [(self.defects, 1.0, len(self.good) / len(self.defects))]
        x = np.concatenate([one for one, _, _ in groups])
        y = np.concatenate([np.full(len(one), label) for one, label, _ in groups])
        weight = np.concatenate([np.full(len(one), each) for one, _, each in groups])
        middle = np.average(x, axis=0, weights=weight)
        centred = (x - middle) * weight[:, None]
        found = np.linalg.solve(
            centred.T @ (x - middle) + _RIDGE * np.eye(_DIMENSIONS), centred.T @ (y - 0.5)
        )
        return np.asarray(found / np.linalg.norm(found))

    def rates(self, score: Array, limit: float) -> tuple[float, float]:
        """Return the share of good parts above the limit, and that of defects, exactly."""
        recall = [_above(limit - float(kind @ score)) for kind in self.types]
        return _above(limit), float(np.mean(recall))

    def work(self, score: Array, limit: float, way: str) -> None:
        """Inspect a day's parts, and learn what people say of those above the limit."""
        count = round(_DAY * _DEFECTIVE_SHARE)
        defects = _parts(self.rng, count) + self.types[self.rng.integers(0, _TYPES, count)]
        good = _parts(self.rng, _DAY - count)
        rejected, caught = good[good @ score > limit], defects[defects @ score > limit]
        self.defects = np.concatenate([self.defects, caught])
        if way != "calibration":
            self.hard = np.concatenate([self.hard, rejected])
        if way in ("calibration", "both"):
            self.calibrating = np.concatenate([self.calibrating, rejected])
        if way == "fresh":
            self.calibrating = _parts(self.rng, CALIBRATING)


def simulate(way: str, seed: int, rounds: int = ROUNDS) -> list[Round]:
    """Return promised and observed rates before and after each round of feedback."""
    line = _Line.start(np.random.default_rng(seed))
    found = []
    for number in range(rounds + 1):
        score = line.learn()
        limit = conformal_threshold((line.calibrating @ score).tolist(), RATE)
        found.append(Round(limit.rate, *line.rates(score, limit.value)))
        if number < rounds:
            line.work(score, limit.value, way)
    return found


def summary(runs: Sequence[Sequence[Round]]) -> list[dict[str, Any]]:
    """Return means over the repetitions, and the error of the observed rate's mean, by round."""
    rows = []
    for number in range(len(runs[0])):
        own = [run[number] for run in runs]
        observed = [one.observed for one in own]
        rows.append(
            {
                "round": number,
                "promised": round(float(np.mean([one.promised for one in own])), 5),
                "observed": round(float(np.mean(observed)), 5),
                "error": round(float(np.std(observed, ddof=1)) / math.sqrt(len(own)), 5),
                "recall": round(float(np.mean([one.recall for one in own])), 4),
            }
        )
    return rows


def _parts(rng: np.random.Generator, count: int) -> Array:
    return rng.normal(size=(count, _DIMENSIONS))


def _directions(rng: np.random.Generator, count: int) -> Array:
    found = rng.normal(size=(count, _DIMENSIONS))
    found[:, 0] += 3.0  # what defects have in common, and synthetic ones with them
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _above(limit: float) -> float:
    return 0.5 * math.erfc(limit / math.sqrt(2))


def main() -> None:
    """Simulate all ways and write the result."""
    found = {way: summary([simulate(way, seed) for seed in range(REPETITIONS)]) for way in WAYS}
    write_result(
        "feedback", asked=RATE, calibrating=CALIBRATING, repetitions=REPETITIONS, ways=found
    )


if __name__ == "__main__":
    main()
