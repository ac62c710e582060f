"""The paper's ablations (DeSTSeg, table 4 and section 4.4) as changes of a preset."""

from __future__ import annotations

from typing import Any

from flawmap.benchmark.published import Figure

_PLAIN: dict[str, Any] = {"decoder": False, "encoder": "own", "student_width": 1.0}
_CLEAN: dict[str, Any] = {"denoising": False}
_READ_OUT: dict[str, Any] = {"head": "none"}

# Named by what is there: denoising, encoder-decoder, segmentation network.
ABLATION: dict[str, dict[str, Any]] = {
    "none": _CLEAN | _PLAIN | _READ_OUT,
    "den": _PLAIN | _READ_OUT,
    "ed": _CLEAN | _READ_OUT,
    "seg": _CLEAN | _PLAIN,
    "den+ed": _READ_OUT,
    "den+seg": _PLAIN,
    "ed+seg": _CLEAN,
    "den+ed+seg": {},
    "without L1": {"l1_weight": 0.0},
    "head reads distances": {"head_input": "distances"},
    "head reads features": {"head_input": "features"},
    **{f"none, level {k}": _CLEAN | _PLAIN | _READ_OUT | {"levels": (k,)} for k in (1, 2, 3)},
}

# Image AUROC, pixel AP and IAP in percent, means over the 15 categories of MVTec AD.
_PUBLISHED = {
    "none": (94.8, 52.9, 55.8),
    "den": (93.4, 49.6, 53.9),
    "ed": (95.4, 53.3, 57.7),
    "seg": (97.3, 70.1, 71.8),
    "den+ed": (94.5, 54.0, 58.5),
    "den+seg": (97.3, 70.9, 72.3),
    "ed+seg": (97.7, 69.7, 71.2),
    "den+ed+seg": (98.6, 75.8, 76.4),
    "without L1": (97.9, 72.2, 74.4),
    "head reads distances": (98.5, 72.0, 74.5),
    "head reads features": (98.0, 72.2, 72.6),
}


def published_ablation(variant: str) -> dict[str, Figure]:
    """The paper's figures of a variant, as means over all 15 categories; empty if unknown."""
    found = _PUBLISHED.get(variant, ())
    keys = ("image_auroc", "pixel_ap", "iap")
    return {k: Figure(v / 100, None) for k, v in zip(keys, found, strict=False)}
