"""Alternative read-out: map and score of only a run's memory of good images."""

from __future__ import annotations

from pathlib import Path

from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.bundle.models import read_model
from flawmap.inspection.decision import load_region
from flawmap.inspection.inspector import Inspector
from flawmap.runtime.unfamiliar import MemoryGraph


def load_memory(run: Path) -> Inspector | None:
    """Load an inspector of the folder ``run`` that maps unfamiliarity; None if it has no memory.

    Its verdicts are meaningless. Raises FlawmapError if the onnx package is not installed.
    """
    manifest = read_manifest(run)
    kind = (manifest.configuration.get("memory") or {}).get("kind", "none")
    if kind == "none":
        return None
    memory = MemoryGraph.within(read_model(run, manifest).onnx)
    return None if memory is None else Inspector(manifest, memory, load_region(run, manifest))
