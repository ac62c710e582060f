"""Agreement of reviewers on parts that two of them decided on (Cohen's kappa)."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Part, Review
from flawmap.station.review.decisions import DECISIONS, standing

_NORMAL = 1.959963984540054  # 97.5 % quantile


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance: 1 is perfect, 0 is what chance gives.

    `low` and `high`: 95 % interval by the large-sample variance of Fleiss, Cohen and Everitt
    (Psychological Bulletin 72, 1969); it is too narrow for few parts. All are None where kappa is
    not defined, which is if both people gave one and the same decision to all parts.
    """

    parts: int
    agreed: int
    kappa: float | None
    low: float | None
    high: float | None


def kappa_of(matrix: NDArray[np.int64]) -> Kappa:
    """Compute Cohen's kappa of a square matrix of counts: rows one reviewer, columns the other."""
    parts, agreed = int(matrix.sum()), int(np.trace(matrix))
    if parts == 0:
        return Kappa(0, 0, None, None, None)
    share = matrix / parts
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    if expected >= 1.0 - 1e-12:
        return Kappa(parts, agreed, None, None, None)
    kappa = (observed - expected) / (1.0 - expected)
    # the variance's three terms, equation 13 of Fleiss, Cohen and Everitt
    sums = columns[:, None] + rows[None, :]  # of column i and row j
    same = share.diagonal() @ (1.0 - sums.diagonal() * (1.0 - kappa)) ** 2
    other = (share * sums**2).sum() - share.diagonal() @ sums.diagonal() ** 2
    chance = (kappa - expected * (1.0 - kappa)) ** 2
    variance = (same + (1.0 - kappa) ** 2 * other - chance) / (parts * (1.0 - expected) ** 2)
    half = _NORMAL * math.sqrt(max(variance, 0.0))
    return Kappa(parts, agreed, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two people, by user ids; `matrix` counts parts, in the order of DECISIONS."""

    first: int
    second: int
    matrix: NDArray[np.int64]
    kappa: Kappa


@dataclass(frozen=True)
class Agreement:
    """Agreement of all pairs: `matrix` has who decided earlier in rows, later in columns.

    Each pair of people on a part counts once.
    """

    matrix: NDArray[np.int64]
    kappa: Kappa
    pairs: list[PairAgreement]


def agreement(session: Session, since: int = 0, product_id: int | None = None) -> Agreement:
    """Measure agreement on parts that were decided on since a moment, by all pairs of people."""
    parts = select(Part.id).where(Part.reviewers >= 2, Part.decided_at >= since)
    if product_id is not None:
        parts = parts.where(Part.product_id == product_id)
    acts = select(Review).where(Review.part_id.in_(parts), Review.action.in_(("decide", "undo")))
    return agreement_of(session.scalars(acts.order_by(Review.part_id, Review.id)))


def agreement_of(acts: Iterable[Review]) -> Agreement:
    """Measure agreement from acts in the order of parts and, within a part, of time."""
    size = (len(DECISIONS), len(DECISIONS))
    total = np.zeros(size, np.int64)
    pairs: dict[tuple[int, int], NDArray[np.int64]] = defaultdict(lambda: np.zeros(size, np.int64))
    for _, group in itertools.groupby(acts, key=lambda act: act.part_id):
        for earlier, later in itertools.combinations(standing(group), 2):
            cell = (_index(earlier), _index(later))
            total[cell] += 1
            if earlier.user_id < later.user_id:
                pairs[earlier.user_id, later.user_id][cell] += 1
            else:
                pairs[later.user_id, earlier.user_id][cell[::-1]] += 1
    ordered = sorted(pairs.items(), key=lambda item: -int(item[1].sum()))
    return Agreement(total, kappa_of(total), _kappas(ordered))


def _kappas(
    pairs: Sequence[tuple[tuple[int, int], NDArray[np.int64]]],
) -> list[PairAgreement]:
    return [PairAgreement(*ids, matrix, kappa_of(matrix)) for ids, matrix in pairs]


def _index(act: Review) -> int:
    return DECISIONS.index(act.decision)
