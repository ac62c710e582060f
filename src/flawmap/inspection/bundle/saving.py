"""The manifest and the metadata of the ONNX files that repeat it for other programs."""

from __future__ import annotations

from pathlib import Path

from flawmap.inspection.bundle.description import describe
from flawmap.inspection.bundle.graphs import read_checked
from flawmap.inspection.bundle.leftovers import remove_leftovers
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, Manifest, encode_manifest
from flawmap.inspection.bundle.onnx_metadata import with_metadata
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import write_together


def save_manifest(run: Path, manifest: Manifest) -> None:
    """Write the manifest of a run, and its thresholds into the metadata of the run's ONNX files.

    All is written before anything gets its name, the manifest last: a full disk leaves the run as
    it was, and a crash leaves one that works, as the manifest alone decides what flawmap does. An
    ONNX file that is absent is passed over. Then what the manifest does not name is removed, such
    as what a killed verb left. Raises FlawmapError where an ONNX file is not the one that the
    manifest names.
    """
    changed: dict[Path, bytes] = {}
    for name, (sha256, precision, calibration) in _networks(manifest).items():
        path = run / name
        if path.exists():
            model = read_checked(run, name, sha256)
            entries = describe(manifest, calibration, precision=precision, digest=sha256)
            described = with_metadata(model, entries)
            if described != model:
                changed[path] = described
    write_together(changed | {run / MANIFEST: encode_manifest(manifest)})
    remove_leftovers(run, manifest)


def _networks(manifest: Manifest) -> dict[str, tuple[str, str, Calibration]]:
    """Digest, precision and thresholds of each ONNX file of the run by its name."""
    found = {}
    if GRAPH in manifest.files:
        found[GRAPH] = (manifest.files[GRAPH], "float32", manifest.calibration)
    for export in manifest.exports.values():
        for name, sha256 in export.files.items():
            if name.endswith(".onnx") and name != GRAPH and export.calibration is not None:
                found[name] = (sha256, export.precision, export.calibration)
    return found
