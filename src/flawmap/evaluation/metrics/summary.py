"""From counts to figures, and the reason where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.evaluation.metrics import bounds, curves, ranking
from flawmap.evaluation.metrics.counting.keys import UInt32
from flawmap.evaluation.metrics.counting.steps import Steps, steps
from flawmap.evaluation.metrics.counting.tally import Floats, Tally
from flawmap.evaluation.metrics.iap import instance_average_precision
from flawmap.evaluation.metrics.pro import per_region_overlap

IAP_RECALL = 0.9
IMAGE_FIGURES = ("image_auroc", "image_ap", "image_f1max")
PIXEL_FIGURES = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pro", "iap", "iap90")

Part = dict[str, Any]  # some of the fields of Figures


def image_part(scores: list[float], defective: list[bool]) -> Part:
    """Image-level figures and curves, or the reason why there are none."""
    score, label = np.array(scores, np.float64), np.array(defective, bool)
    s = steps(Tally.of_keys(score[label]), Tally.of_keys(score[~label]))
    reason = _why_undefined(s, "defective image", "good image")
    return _ranking_part(s, "image") if not reason else _undefined(IMAGE_FIGURES, reason)


def pixel_part(
    background: Tally, defect: Tally, thresholds: UInt32, dropped_bits: int, pro_limit: float
) -> Part:
    """Pixel- and instance-level figures, curves and error bounds, or why there are none.

    The defect table has the summed weights of PRO in its second column; `thresholds` (N,) are the
    instances' full-precision keys.
    """
    s = steps(defect, background)
    reason = _why_undefined(s, "defect pixel", "background pixel")
    if reason:
        return _undefined(PIXEL_FIGURES, reason)
    overlap = defect.sums[1][::-1]
    at = len(defect.keys) - 1 - np.searchsorted(defect.keys, np.sort(thresholds) >> dropped_bits)
    part = _ranking_part(s, "pixel") | _instance_part(s, at)
    part["pro"] = per_region_overlap(s, overlap, len(thresholds), pro_limit)
    if not dropped_bits:
        return part | {"pixel_error_bound": dict.fromkeys(PIXEL_FIGURES, 0.0)}
    return part | _bounds_part(s, overlap, at, pro_limit, dropped_bits)


def _why_undefined(s: Steps, positive: str, negative: str) -> str:
    if not s.positives and not s.negatives:
        return f"no {positive} and no {negative} was evaluated"
    if not s.positives:
        return f"no {positive} was evaluated: nothing to find"
    if not s.negatives:
        return f"no {negative} was evaluated: nothing to tell defects from"
    return ""


def _undefined(names: tuple[str, ...], reason: str) -> Part:
    return {"notes": dict.fromkeys(names, reason)}


def _ranking_part(s: Steps, level: str) -> Part:
    return {
        f"{level}_auroc": ranking.auroc(s),
        f"{level}_ap": ranking.average_precision(s),
        f"{level}_f1max": ranking.f1_max(s),
        "curves": {
            f"{level}_roc": curves.roc_curve(s),
            f"{level}_pr": curves.precision_recall_curve(s),
        },
    }


def _instance_part(s: Steps, at: NDArray[np.intp]) -> Part:
    precisions = s.precision[at]
    iap, iap90 = instance_average_precision(precisions, IAP_RECALL)
    return {"iap": iap, "iap90": iap90, "instance_precision": precisions}


def _bounds_part(
    s: Steps, overlap: Floats, at: NDArray[np.intp], pro_limit: float, dropped_bits: int
) -> Part:
    iap, iap90 = bounds.instance_errors(s, at, IAP_RECALL)
    bound = {
        "pixel_auroc": bounds.auroc_error(s),
        "pixel_ap": bounds.average_precision_error(s),
        "pixel_f1max": bounds.f1_max_error(s),
        "pro": bounds.per_region_overlap_error(s, overlap, len(at), pro_limit),
        "iap": iap,
        "iap90": iap90,
    }
    note = (
        f"the lowest {dropped_bits} of 32 bits of every pixel score were dropped to bound memory; "
        f"no pixel-level figure is off by more than {max(bound.values()):.1e}"
    )
    return {"pixel_error_bound": bound, "notes": {"pixel_error_bound": note}}
