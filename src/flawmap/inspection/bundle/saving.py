"""Saving of the manifest and of its copy in the ONNX metadata, for other programs."""

from __future__ import annotations

from pathlib import Path

from flawmap.inspection.bundle.description import describe
from flawmap.inspection.bundle.leftovers import remove_leftovers
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, Manifest, encode_manifest
from flawmap.inspection.bundle.models import read_checked
from flawmap.inspection.bundle.onnx_metadata import with_metadata
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import write_together


def save_manifest(run: Path, manifest: Manifest) -> None:
    """Write a run's manifest, and its thresholds into the metadata of the run's ONNX files.

    All files are written before any is renamed into place, the manifest last: a full disk leaves
    the run unchanged, and a crash leaves a working run, as only the manifest decides what flawmap
    does. Missing ONNX files are skipped. Afterwards files that the manifest does not list are
    removed, such as those of a killed command. Raises FlawmapError if an ONNX file is not the one
    listed in the manifest, or if the manifest would be too large to be read.
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
    """Return digest, precision and thresholds of each ONNX file of the run, by name."""
    networks = {}
    if GRAPH in manifest.files:
        networks[GRAPH] = (manifest.files[GRAPH], "float32", manifest.calibration)
    for export in manifest.exports.values():
        for name, sha256 in export.files.items():
            if name.endswith(".onnx") and name != GRAPH and export.calibration is not None:
                networks[name] = (sha256, export.precision, export.calibration)
    return networks
