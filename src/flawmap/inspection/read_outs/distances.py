"""Alternative read-out of an inspector: only the distances between teacher and student.

DeSTSeg calls the product over its levels, without segmentation network, "DeST" (section 4.4); STPM
compares its multi-level product with single levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.inspection.bundle.models import read_model
from flawmap.inspection.decision import load_region
from flawmap.inspection.inspector import Inspector
from flawmap.runtime.distances import DistanceGraph


def load_distances(run: Path, levels: Sequence[int]) -> Inspector:
    """Load an inspector of the folder ``run`` that maps the product of distances at ``levels``.

    Its verdicts are meaningless: the thresholds were calibrated on another map. Raises UsageError
    for levels that the method does not have.
    """
    if not levels or min(levels) < 1 or len(set(levels)) < len(levels):
        raise UsageError("Invalid levels: give numbers from 1, each once, such as 1,2,3.")
    manifest: Manifest = read_manifest(run)
    onnx = read_model(run, manifest).onnx
    distances = DistanceGraph(onnx, levels, manifest.configuration)
    return Inspector(manifest, distances, load_region(run, manifest))
