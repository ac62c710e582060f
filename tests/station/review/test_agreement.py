"""Cohen's kappa against scikit-learn, and its interval against repeated draws."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from flawmap.station.context import Station
from flawmap.station.review.agreement import agreement, kappa_of
from flawmap.station.review.decisions import DECISIONS, decide, undo
from station.filling import add_user, fill

SHARES = np.array([[0.45, 0.05, 0.03], [0.04, 0.25, 0.02], [0.06, 0.04, 0.06]])


@pytest.mark.parametrize("seed", range(10))
def test_kappa_is_scikit_learns(seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(0, 30, (3, 3))
    cells = [(i, j) for i in range(3) for j in range(3) for _ in range(matrix[i, j])]
    first, second = zip(*cells, strict=True)
    found = kappa_of(matrix)
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.parts == matrix.sum()
    assert found.agreed == np.trace(matrix)


def test_the_interval_covers_the_true_kappa_as_often_as_it_says() -> None:
    rows, columns = SHARES.sum(axis=1), SHARES.sum(axis=0)
    true = (np.trace(SHARES) - rows @ columns) / (1 - rows @ columns)
    draws = np.random.default_rng(0).multinomial(300, SHARES.ravel(), 2000)
    covered = 0
    for draw in draws:
        found = kappa_of(draw.reshape(3, 3))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= true <= found.high
    assert covered / len(draws) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("matrix", "kappa"),
    [
        ([[0, 0], [0, 0]], None),
        ([[9, 0], [0, 0]], None),
        ([[5, 0], [0, 5]], 1.0),
        ([[0, 5], [5, 0]], -1.0),
        ([[1, 0], [0, 1]], 1.0),
    ],
)
def test_extreme_matrices(matrix: list[list[int]], kappa: float | None) -> None:
    found = kappa_of(np.array(matrix))
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
    if kappa is not None:
        assert found.low is not None
        assert found.high is not None
        assert -1.0 <= found.low <= kappa <= found.high <= 1.0


def test_agreement_counts_what_stands_on_each_part(station: Station) -> None:
    fill(station.database, 6)
    anna, ben, carl = (
        add_user(station.database, name, "operator") for name in ("anna", "ben", "carl")
    )
    with station.database.write() as session:
        for part_id, user, decision in [
            (1, anna, "good"),
            (1, ben, "good"),
            (2, ben, "reject"),
            (2, anna, "good"),
            (3, anna, "reject"),
            (3, carl, "unsure"),
            (4, anna, "good"),
            (5, ben, "good"),
            (5, anna, "reject"),
        ]:
            decide(session, part_id, user, decision)  # type: ignore[arg-type]
        undo(session, anna)
    with station.database.read() as session:
        found = agreement(session)
    good, reject, unsure = range(len(DECISIONS))
    assert (found.kappa.parts, found.kappa.agreed) == (3, 1)
    assert found.matrix[good, good] == found.matrix[reject, good] == found.matrix[reject, unsure]
    first = found.pairs[0]
    assert (first.first, first.second, first.kappa.parts) == (anna, ben, 2)
    assert first.matrix[good, reject] == 1  # rows are anna's
