"""The same metrics, slow and plain, sharing nothing with the package; and nasty test sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

Image = tuple[np.ndarray, "np.ndarray | None", float, bool]


def f1_max(labels: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300)))


def pooled(images: list[Image]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of all pixels that count."""
    pairs = [
        (np.zeros_like(m, bool) if mask is None else mask.astype(bool), m)
        for m, mask, _, defective in images
        if mask is not None or not defective
    ]
    return tuple(np.concatenate([p[i].ravel() for p in pairs]) for i in (0, 1))  # type: ignore[return-value]


def flood_regions(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """8-connected regions by flood fill."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    found = []
    while left:
        region, front = [], [left.pop()]
        while front:
            y, x = front.pop()
            region.append((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            front.extend(near)
        found.append(region)
    return found


def region_scores(images: list[Image]) -> list[np.ndarray]:
    return [
        np.array([m[p] for p in region])
        for m, mask, _, _ in images
        if mask is not None
        for region in flood_regions(mask)
    ]


def instance_precisions(images: list[Image]) -> list[float]:
    """Uninterpolated pixel precision at each instance threshold, ascending."""
    labels, scores = pooled(images)
    halves = sorted(sorted(s, reverse=True)[int(0.5 * len(s))] for s in region_scores(images))
    return [float(labels[scores >= t].mean()) for t in halves]


def iap(images: list[Image], k: float) -> tuple[float, float]:
    raw = instance_precisions(images)
    n = len(raw)
    best = [max(raw[: i + 1]) for i in range(n)]
    at_k = [i for i in range(n) if (n - i) / n >= k - 1e-12]
    return sum(best) / n, best[at_k[-1]]


def pro(images: list[Image], limit: float = 0.3) -> float:
    """One ROC a region, of all background plus that region; the areas up to the limit averaged."""
    labels, scores = pooled(images)
    background = scores[~labels]
    areas = []
    for region in region_scores(images):
        y = np.r_[np.zeros(len(background)), np.ones(len(region))]
        fpr, tpr, _ = roc_curve(y, np.r_[background, region], drop_intermediate=False)
        inside = fpr <= limit
        beyond = np.flatnonzero(~inside)[:1]
        x, t = fpr[inside], tpr[inside]
        if len(beyond):
            j = beyond[0]
            slope = (tpr[j] - tpr[j - 1]) / (fpr[j] - fpr[j - 1])
            x, t = np.r_[x, limit], np.r_[t, tpr[j - 1] + slope * (limit - fpr[j - 1])]
        areas.append(float(np.sum(np.diff(x) * (t[1:] + t[:-1]) / 2)) / limit)
    return sum(areas) / len(areas)


def evaluate(cls: Any, images: list[Image], **options: Any) -> Any:
    """An evaluator of class `cls` that has seen the images."""
    evaluator = cls(**options)
    for image in images:
        evaluator.update(*image)
    return evaluator


def _blobs(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = 1
    return mask


def random_set(rng: np.random.Generator, shape: tuple[int, int], count: int = 8) -> list[Image]:
    images: list[Image] = []
    for i in range(count):
        mask = _blobs(rng, shape) if i % 2 else np.zeros(shape, np.uint8)
        logit = rng.normal(-2, 1.5, shape) + 2.5 * mask
        score_map = (1 / (1 + np.exp(-logit))).astype(np.float32)
        images.append((score_map, mask, float(score_map.max()), bool(i % 2)))
    return images


def _with_maps(images: list[Image], change: Any) -> list[Image]:
    return [(change(m).astype(np.float32), mask, s, d) for m, mask, s, d in images]


def nasty_sets() -> dict[str, list[Image]]:
    """Test sets with at least one defect pixel and one background pixel each."""
    rng = np.random.default_rng(7)
    plain = random_set(rng, (24, 20))
    one = np.ones((1, 1), np.uint8)
    return {
        "random": plain,
        "ties everywhere": _with_maps(plain, lambda m: np.round(m * 4) / 4),
        "constant maps": _with_maps(plain, lambda m: np.full_like(m, 0.25)),
        "all zero": _with_maps(plain, np.zeros_like),
        "negative": _with_maps(plain, lambda m: m - 3),
        "both signs and both zeros": _with_maps(plain, lambda m: np.round(m * 6 - 3) * -0.5),
        "peaked below 1": _with_maps(plain, lambda m: 1 - (1 - m) * np.float32(1e-6)),
        "peaked at 0": _with_maps(plain, lambda m: m.astype(np.float64) ** 30),
        "huge": _with_maps(plain, lambda m: (m - 0.5) * 3e38),
        "wrong way round": _with_maps(plain, lambda m: -m),
        "one pixel each": [
            (np.full((1, 1), 0.7, np.float32), one, 0.7, True),
            (np.full((1, 1), 0.7, np.float32), None, 0.2, False),
            (np.full((1, 1), 0.9, np.float32), one, 0.7, True),
        ],
        "empty masks among them": [
            *plain,
            (plain[0][0], np.zeros((24, 20), np.uint8), 0.1, True),
            (plain[1][0], None, 0.95, True),
        ],
        "defect fills the image": [
            (plain[1][0], np.ones((24, 20), np.uint8), 0.9, True),
            plain[0],
        ],
        "checkerboard": [
            (plain[1][0], (np.indices((24, 20)).sum(0) % 2).astype(np.uint8), 0.9, True),
            (plain[3][0], (np.indices((24, 20)) % 2 == 0).all(0), 0.2, True),
            plain[2],
        ],
        "many instances, even and odd sizes": random_set(rng, (9, 31), count=30),
        "different sizes": random_set(rng, (5, 40), 3) + random_set(rng, (17, 2), 3),
    }
