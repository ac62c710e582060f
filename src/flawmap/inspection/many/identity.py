"""The run as a call finds it: what identifies its results, and the files that workers need."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, read_manifest, settings_id
from flawmap.inspection.bundle.models import read_model
from flawmap.inspection.roi.mask import region_file
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import read_regular

_MOST_BYTES = 2**31


class Identity(NamedTuple):
    """Model, settings and precision, as the records of a run's inspector state them."""

    model: str
    settings: str
    precision: str


def identity_of(run: Path, options: RuntimeOptions) -> Identity:
    """Return the identity of the results that a run gives; raise as ``Inspector.load``."""
    manifest = read_manifest(run)
    precision = options.get("precision", "float32")
    found = read_model(run, manifest, options.get("backend", "auto"), precision)
    judging = manifest.model_copy(update={"calibration": found.calibration})
    return Identity(found.sha256, settings_id(judging), precision)


def run_files(run: Path, options: RuntimeOptions) -> dict[str, bytes]:
    """Read the files of a run that its inspector needs, by name; weights for training are not."""
    manifest = read_manifest(run)
    names = [MANIFEST, GRAPH]
    if options.get("precision") == "int8":
        names = [MANIFEST, *(name for one in manifest.exports.values() for name in one.files)]
    if manifest.region is not None:
        names.append(region_file(manifest.region))
    try:
        return {name: read_regular(run / name, _MOST_BYTES) for name in dict.fromkeys(names)}
    except OSError as error:
        raise FlawmapError(
            f"Cannot read {run}: {error.strerror or error}. Copy the whole run folder again."
        ) from error
