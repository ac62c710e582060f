"""The papers' ablations as changes of a preset, method by method.

DeSTSeg's are from its table 4 and section 4.4. ADPS's paper prints its tables as images: their
rows are listed here, their values are not.
"""

from __future__ import annotations

from typing import Any

from flawmap.benchmark.grid import Variant
from flawmap.benchmark.published import PublishedValue
from flawmap.errors import UsageError

_PLAIN: dict[str, Any] = {"decoder": False, "encoder": "own", "student_width": 1.0}
_CLEAN: dict[str, Any] = {"denoising": False}
_ALL_LEVELS = (1, 2, 3)


def _read(changes: dict[str, Any], *levels: int) -> Variant:
    """Variant read out without the segmentation network; the student was trained with it."""
    return Variant(changes=changes, distances=levels)


# Named by the components present: denoising, encoder-decoder, segmentation network.
_DESTSEG_ROWS: dict[str, Variant] = {
    "den+ed+seg": Variant(),
    "ed+seg": Variant(changes=_CLEAN),
    "den+seg": Variant(changes=_PLAIN),
    "seg": Variant(changes=_CLEAN | _PLAIN),
    "den+ed": _read({}, *_ALL_LEVELS),
    "ed": _read(_CLEAN, *_ALL_LEVELS),
    "den": _read(_PLAIN, *_ALL_LEVELS),
    "none": _read(_CLEAN | _PLAIN, *_ALL_LEVELS),
    "without L1": Variant(changes={"l1_weight": 0.0}),
    "head reads distances": Variant(changes={"head_input": "distances"}),
    "head reads features": Variant(changes={"head_input": "features"}),
    **{f"none, level {k}": _read(_CLEAN | _PLAIN, k) for k in _ALL_LEVELS},
    **{f"den+ed, level {k}": _read({}, k) for k in _ALL_LEVELS},
}

_ADPS_ROWS: dict[str, Variant] = {
    "whole": Variant(),
    "no gate: both features": Variant(changes={"gate": "concatenation"}),
    "no segmentation": Variant(changes={"segmentation": False}),
    "neither": Variant(changes={"segmentation": False, "gate": "none"}),
    "gate: difference": Variant(changes={"gate": "difference"}),
    "teacher alone": Variant(changes={"gate": "teacher"}),
    "student alone": Variant(changes={"gate": "student"}),
    "squared error": Variant(changes={"similarity": "squared"}),
    "gate detached": Variant(changes={"detach_gate": True}),
    "k=1 (symmetric)": Variant(changes={"patches": 1}),
    **{f"k={k}": Variant(changes={"patches": k}) for k in (2, 4, 16)},
}

_STPM_ROWS: dict[str, Variant] = {
    "product": Variant(),
    "sum": Variant(changes={"read_out": "sum"}),
    **{f"level {k}": Variant(distances=(k,)) for k in _ALL_LEVELS},
}

ABLATIONS = {"destseg": _DESTSEG_ROWS, "adps": _ADPS_ROWS, "stpm": _STPM_ROWS}

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


def find_ablation(method: str) -> dict[str, Variant]:
    """Rows of a method's ablation; UsageError if it has none."""
    if method not in ABLATIONS:
        raise UsageError(f"There is no ablation of {method!r}; choose {', '.join(ABLATIONS)}.")
    return ABLATIONS[method]


def ablation_rank(method: str, variant: str) -> int:
    """Position of a variant among its method's ablations; their number if it is not one."""
    rows = list(ABLATIONS.get(method, ()))
    return rows.index(variant) if variant in rows else len(rows)


def published_ablation(method: str, variant: str) -> dict[str, PublishedValue]:
    """The paper's metrics of a variant, as means over all 15 categories; empty if unknown."""
    values = _PUBLISHED.get(variant, ()) if method == "destseg" else ()
    keys = ("image_auroc", "pixel_ap", "iap")
    return {k: PublishedValue(v / 100, None) for k, v in zip(keys, values, strict=False)}
