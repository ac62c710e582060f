"""Another read-out of an inspector: the distances of teacher and student alone.

DeSTSeg calls the product over its levels, with no segmentation network, "DeST" (section 4.4); one
level alone is what STPM's multi-level product is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flawmap.errors import UsageError
from flawmap.inspection.bundle.graphs import read_graph
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.inspection.inspector import Inspector, load_region
from flawmap.runtime.distances import DistanceGraph


def load_distances(run: Path, levels: Sequence[int]) -> Inspector:
    """Inspector of the folder ``run`` that maps the product of the distances at ``levels``.

    Its verdicts mean nothing: thresholds belong to the map they were calibrated on. Raises
    UsageError where the levels are not the method's.
    """
    if not levels or min(levels) < 1 or len(set(levels)) < len(levels):
        raise UsageError("Levels are numbers from 1, each once, such as 1,2,3.")
    manifest: Manifest = read_manifest(run)
    graph = read_graph(run, manifest).graph
    distances = DistanceGraph(graph, levels, manifest.configuration)
    return Inspector(manifest, distances, load_region(run, manifest))
