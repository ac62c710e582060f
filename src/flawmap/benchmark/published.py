"""Metrics that the papers report, for comparison with measured ones."""

from __future__ import annotations

from dataclasses import dataclass

# DeSTSeg (arXiv 2211.11317), tables 2 and 3, in percent: mean and deviation over five seeds of
# pixel AUROC, pixel AP, IAP and IAP90. Image AUROC by category is in its supplement only.
_KEYS = ("pixel_auroc", "pixel_ap", "iap", "iap90")
_DESTSEG = {
    "bottle": ((99.2, 0.2), (90.3, 1.8), (90.5, 1.7), (82.5, 4.1)),
    "cable": ((97.3, 0.4), (60.4, 2.3), (51.1, 2.5), (26.7, 3.7)),
    "capsule": ((99.1, 0.0), (56.3, 1.1), (49.4, 1.5), (27.3, 3.3)),
    "carpet": ((96.1, 2.2), (72.8, 5.8), (84.5, 4.9), (58.6, 17.1)),
    "grid": ((99.1, 0.1), (61.5, 1.6), (61.6, 1.8), (47.4, 2.9)),
    "hazelnut": ((99.6, 0.2), (88.4, 2.2), (87.7, 1.8), (77.6, 3.4)),
    "leather": ((99.7, 0.0), (75.6, 1.2), (77.5, 1.8), (65.3, 3.9)),
    "metal_nut": ((98.6, 0.4), (93.5, 1.1), (93.6, 1.3), (86.5, 2.7)),
    "pill": ((98.7, 0.4), (83.1, 4.2), (84.8, 3.8), (61.1, 12.4)),
    "screw": ((98.5, 0.3), (58.7, 3.7), (53.6, 3.6), (8.6, 2.3)),
    "tile": ((98.0, 0.7), (90.0, 2.5), (94.7, 1.8), (86.5, 3.6)),
    "toothbrush": ((99.3, 0.1), (75.2, 1.8), (59.8, 2.9), (32.1, 5.1)),
    "transistor": ((89.1, 3.4), (64.8, 4.0), (78.3, 2.5), (49.6, 8.4)),
    "wood": ((97.7, 0.3), (81.9, 1.2), (87.8, 2.8), (76.4, 3.4)),
    "zipper": ((99.1, 0.5), (85.2, 3.3), (90.6, 2.3), (80.3, 4.9)),
}

# STPM as DeSTSeg's authors measured it (table 2): pixel AUROC and pixel AP, no deviations.
_STPM = {
    "bottle": (98.8, 80.6), "cable": (94.8, 58.0), "capsule": (98.2, 35.9),
    "carpet": (99.1, 65.3), "grid": (99.1, 45.4), "hazelnut": (98.9, 60.3),
    "leather": (99.2, 42.9), "metal_nut": (97.2, 79.3), "pill": (94.7, 63.3),
    "screw": (98.6, 26.9), "tile": (96.6, 61.7), "toothbrush": (98.9, 48.8),
    "transistor": (81.9, 44.4), "wood": (95.2, 47.0), "zipper": (98.0, 54.9),
}  # fmt: skip

# Good training images of MVTec AD: other counts mean another split, which is not comparable.
MVTEC_TRAINING_IMAGES = {
    "bottle": 209, "cable": 224, "capsule": 219, "carpet": 280, "grid": 264, "hazelnut": 391,
    "leather": 245, "metal_nut": 220, "pill": 267, "screw": 320, "tile": 230, "toothbrush": 60,
    "transistor": 213, "wood": 247, "zipper": 240,
}  # fmt: skip
DTD_TEXTURES = 5640


@dataclass(frozen=True)
class PublishedValue:
    """Mean and deviation over the paper's seeds, as fractions; None if it gives no deviation."""

    mean: float
    deviation: float | None


def published(method: str, category: str) -> dict[str, PublishedValue]:
    """The paper's metrics of ``method`` on a category of MVTec AD, by key; empty if unknown."""
    if method == "destseg" and category in _DESTSEG:
        pairs = zip(_KEYS, _DESTSEG[category], strict=True)
        return {
            key: PublishedValue(mean / 100, deviation / 100) for key, (mean, deviation) in pairs
        }
    if method == "stpm" and category in _STPM:
        auroc, precision = _STPM[category]
        values = {"pixel_auroc": auroc, "pixel_ap": precision}
        return {key: PublishedValue(mean / 100, None) for key, mean in values.items()}
    return {}
