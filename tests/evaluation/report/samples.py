"""Report data made of nothing but numbers: good and defective parts with drawn panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flawmap.evaluation.report import ImageRow, Panel, ReportData
from flawmap.types import Label, Verdict
from inspection.records import make_record

THRESHOLDS = {"review": 0.4, "reject": 0.6, "pixel": 0.5}
METRICS: dict[str, float | int | None] = {
    "image_auroc": 0.9811,
    "image_ap": 0.9722,
    "image_f1max": 0.9633,
    "pixel_auroc": 0.9544,
    "pixel_ap": 0.7455,
    "pixel_f1max": 0.7366,
    "pro": 0.9277,
    "iap": 0.6188,
    "iap90": 0.4099,
    "images": 23,
    "instances": 57,
    "seconds": 4.25,
}


def row(path: str, label: Label, score: float, **changes: Any) -> ImageRow:
    """A row whose verdict follows from its score."""
    above = [score > THRESHOLDS["review"], score > THRESHOLDS["reject"]]
    verdicts: tuple[Verdict, ...] = ("good", "review", "reject")
    kind = "scratch" if label == "defective" else None
    result = {"score": score, "p_value": 0.05, "verdict": verdicts[sum(above)]}
    if "error" in changes:
        result = {"error": changes.pop("error")}
    return replace(ImageRow(make_record(path, **result), label, kind), **changes)


def panel(of: ImageRow, height: int = 24, width: int = 32, masked: bool = True) -> Panel:
    rng = np.random.default_rng(7)
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    heat = np.zeros((height, width), np.float32)
    heat[height // 3 : height // 2 + 1, width // 3 : width // 2 + 1] = of.score
    mask = (heat > 0).astype(np.uint8) if masked else None
    return Panel(of, image, heat, mask, (heat > THRESHOLDS["pixel"]).astype(np.uint8))


def line_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    along = np.linspace(0, 1, count)
    return along, np.sqrt(along)


def make_data(**changes: Any) -> ReportData:
    """Full report data; keyword arguments replace fields."""
    rows = [
        row("good/a.png", "good", 0.1),
        row("good/b.png", "good", 0.45),
        row("good/c.png", "good", 0.7),
        row("bad/d.png", "defective", 0.2),
        row("bad/e.png", "defective", 0.5, defect_type="dent"),
        row("bad/f.png", "defective", 0.9),
    ]
    log = [
        {"step": i, "phase": phase, "loss": 1 / (i + 1), "images_per_s": 11.0, "seconds": 2.0 * i}
        for i, phase in enumerate(["student"] * 20 + ["segmentation"] * 20)
    ]
    whole = ReportData(
        title="Bottle caps",
        product="DeSTSeg, preset fast",
        metrics=METRICS,
        notes={},
        rows=rows,
        panels=[panel(rows[3]), panel(rows[2])],
        thresholds=THRESHOLDS,
        guarantee="At most 1 % of good parts are rejected.",
        curves={k: line_of(50) for k in ("image_roc", "image_pr", "pixel_roc", "pixel_pr")},
        training_log=log,
        configuration={"method": "destseg", "optimiser": {"rate": 0.002}},
        versions={"flawmap": "0.1.0", "numpy": "9.8.7"},
    )
    return replace(whole, **changes)
