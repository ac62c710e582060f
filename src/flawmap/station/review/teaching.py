"""Which parts teach most: likely defects, unlike those reviewed before and unlike one another.

A part is described by its pattern: where on the image, and on how much of it, the anomaly map is
high. The next part is the one with the largest product of promise and novelty. A rejected part
promises most, since a head learns from drawn defects; novelty is the distance to the nearest
pattern that was reviewed or chosen before it (k-centre greedy: Sener and Savarese, "Active Learning
for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawmap.station.parts.pattern import SIDE

_KNOWN = 0.05  # novelty of a part that is just like a reviewed one: promise then decides


def described(patterns: Sequence[bytes | None]) -> NDArray[np.float32]:
    """Return descriptors (n, 128) of length one: the cells, and the cells by size.

    The second half is the same wherever on the image a defect is. A part without a pattern gets
    zeros, so that all such parts are alike.
    """
    empty = bytes(SIDE * SIDE)
    raw = b"".join(empty if one is None else one for one in patterns)
    cells = np.frombuffer(raw, np.uint8).reshape(-1, SIDE * SIDE).astype(np.float32)
    both = np.concatenate([cells, np.sort(cells, axis=1)], axis=1)
    length = np.linalg.norm(both, axis=1, keepdims=True)
    result: NDArray[np.float32] = (both / np.where(length > 0.0, length, 1.0)).astype(np.float32)
    return result


def promise(
    p_values: NDArray[np.float64],
    level: float,
    scores: NDArray[np.float64],
    threshold: float | None,
) -> NDArray[np.float64]:
    """Return in 0..1 how much parts promise to show a defect: 1 if they are rejected.

    It falls with the distance of the p-value from the `level` of rejection, and with that of the
    score from its `threshold`, as many parts have the same p-value where few good images calibrate.
    """
    away = np.log(np.maximum(p_values, level) / level)
    if threshold is not None and threshold > 0.0:
        away = away + np.log(threshold / np.clip(scores, 1e-9, threshold))
    return 1.0 / (1.0 + away)


def choose(
    promises: NDArray[np.float64],
    queued: NDArray[np.float32],
    reviewed: NDArray[np.float32],
    count: int,
    products: NDArray[np.int64] | None = None,
    reviewed_products: NDArray[np.int64] | None = None,
) -> list[int]:
    """Return the indices of the `count` parts of a queue that teach most, in order.

    `promises` (n,); `queued` (n, D) and `reviewed` (m, D): descriptors. Of equal parts the first in
    the queue comes first. Parts of different `products` (n,) and (m,) are always new to each other.
    """
    if products is None or reviewed_products is None:
        products = np.zeros(len(queued), np.int64)
        reviewed_products = np.zeros(len(reviewed), np.int64)
    novelty = np.ones(len(queued))
    if len(reviewed):
        apart = _distances(queued, reviewed, products, reviewed_products)
        novelty = np.minimum(novelty, apart.min(axis=1))
    left, chosen = np.ones(len(queued), bool), []
    for _ in range(min(count, len(queued))):
        best = int(np.argmax(np.where(left, promises * (_KNOWN + novelty), -1.0)))
        chosen.append(best)
        left[best] = False
        one = slice(best, best + 1)
        apart = _distances(queued, queued[one], products, products[one])
        novelty = np.minimum(novelty, apart[:, 0])
    return chosen


def _distances(
    these: NDArray[np.float32],
    others: NDArray[np.float32],
    products: NDArray[np.int64],
    others_products: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return distances (n, m) of descriptors in 0..1; those of two products are 1 apart."""
    squares = (these**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None]
    apart = np.sqrt(np.clip(squares - 2.0 * (these @ others.T), 0.0, None) / 2.0)
    different = products[:, None] != others_products[None]
    result: NDArray[np.float64] = np.where(different, 1.0, apart).astype(np.float64)
    return result
