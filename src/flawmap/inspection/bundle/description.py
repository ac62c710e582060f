"""Metadata with which another program can reproduce flawmap's verdict from an ONNX file alone.

``docs/other-languages.md`` explains each entry and shows such programs; keep the two in agreement.
"""

from __future__ import annotations

import flawmap
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.roi.mask import region_file
from flawmap.inspection.scoring import Scoring

FORMAT = "1"  # incremented when the meaning of an entry changes
_RESIZE = (
    "bilinear, antialiased (Pillow BILINEAR: a triangle filter, widened by the scale when "
    "shrinking; first along rows, then along columns, rounded to 8 bits after each)"
)
_PRECISION = (
    "Keep float32 when converting (ovc: compress_to_fp16=False): in FP16 the map moves by 5e-3."
)


def describe(
    manifest: Manifest, calibration: Calibration, *, precision: str, digest: str
) -> dict[str, str]:
    """Return the metadata for an ONNX file of a run, whose thresholds are ``calibration``.

    Every key begins with ``flawmap.``; numbers are formatted so that they round-trip exactly.
    """
    before = manifest.preprocessing
    height, width = before.size
    scoring = Scoring.of(manifest.configuration)
    entries = {
        "format": FORMAT,
        "version": flawmap.__version__,
        "digest": digest,
        "method": manifest.method,
        "precision": precision,
        "precision.hint": _PRECISION,
        "requires": ",".join(_requirements(manifest)),
        "input.name": "images",
        "input.layout": "NHWC",
        "input.type": "uint8",
        "input.channels": before.colour,
        "input.height": str(height),
        "input.width": str(width),
        "resize": _RESIZE,
        "fit": before.fit,
        "overlap": str(before.overlap),
        "padding": "edge",
        "output.map": f"map float32 N,{height},{width}",
        "output.score": "score float32 N",
        "score.top_pixels": str(scoring.top_pixels),
        "score.sigma": repr(scoring.score_sigma),
        "threshold.review": repr(calibration.review.value),
        "threshold.reject": repr(calibration.reject.value),
        "threshold.pixel": repr(calibration.pixel.value),
        "rate.review": repr(calibration.review.rate),
        "rate.reject": repr(calibration.reject.rate),
        "rate.pixel": repr(calibration.pixel.rate),
        "statement": calibration.statement(),
    }
    if before.white_level is not None:
        entries["white_level"] = str(before.white_level)
    if manifest.region is not None:
        entries["region.file"] = region_file(manifest.region)
    if manifest.filters.drop:
        entries["filters"] = manifest.filters.model_dump_json()
    return {f"flawmap.{key}": value for key, value in entries.items()}


def _requirements(manifest: Manifest) -> list[str]:
    """List what a program must support beyond squashing an 8-bit image and comparing scores."""
    fit = manifest.preprocessing.fit
    needed: list[str] = [] if fit == "squash" else [fit]
    if manifest.preprocessing.white_level is not None:
        needed.append("white_level")
    if manifest.region is not None:
        needed.append("region")
    if manifest.filters.drop:
        needed.append("filters")
    return needed
