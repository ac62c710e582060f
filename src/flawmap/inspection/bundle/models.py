"""Model files of a run: the trained model and its exports."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, WEIGHTS, Manifest
from flawmap.inspection.bundle.onnx_metadata import network_digest
from flawmap.inspection.conformal import Calibration
from flawmap.utils.files import read_regular

_MOST_BYTES = 2**31  # size limit of a single ONNX file
BF16 = "openvino-bf16"  # its export has only thresholds and no files
_EXPORTED_FOR = {"openvino": "openvino", "onnxruntime": "onnx"}


@dataclass(frozen=True)
class StoredModel:
    """Serialized model with its digest in the manifest, intended backend and thresholds."""

    onnx: bytes
    weights: bytes | None
    sha256: str
    backend: str
    calibration: Calibration


def read_model(
    folder: Path, manifest: Manifest, backend: str = "auto", precision: str = "float32"
) -> StoredModel:
    """Read the model and check it against the manifest; raise FlawmapError if the digests differ.

    ``int8`` reads the export for the backend; ``auto`` prefers OpenVINO's over ONNX Runtime's.
    ``bf16`` reads the trained model, with the thresholds determined for it at export.
    """
    if precision != "int8":
        sha256 = manifest.files.get(GRAPH, "")
        onnx = read_checked(folder, GRAPH, sha256)
        calibration = manifest.calibration if precision != "bf16" else _bf16(folder, manifest)
        return StoredModel(onnx, None, sha256, backend, calibration)
    wanted = list(_EXPORTED_FOR) if backend == "auto" else [backend]
    for name in wanted:
        export = manifest.exports.get(f"{_EXPORTED_FOR.get(name)}-int8")
        if export is not None and export.files and export.calibration is not None:
            read = [read_checked(folder, file, sha256) for file, sha256 in export.files.items()]
            weights, sha256 = read[1] if len(read) > 1 else None, next(iter(export.files.values()))
            return StoredModel(read[0], weights, sha256, name, export.calibration)
    to = _EXPORTED_FOR.get(wanted[0])
    if to is None:
        raise UsageError(f"Unknown backend {backend!r}: INT8 runs on {' or '.join(_EXPORTED_FOR)}.")
    raise FlawmapError(
        f"{folder} has no INT8 model for this backend. Make one: "
        f"flawmap export {folder} --to {to} --int8"
    )


def _bf16(folder: Path, manifest: Manifest) -> Calibration:
    export = manifest.exports.get(BF16)
    if export is None or export.calibration is None:
        raise FlawmapError(
            f"{folder} has no thresholds for bf16. Set them on a processor that computes in bf16: "
            f"flawmap export {folder} --to openvino"
        )
    return export.calibration


def calibration_of(manifest: Manifest, precision: str, backend: str) -> Calibration | None:
    """Return the thresholds for a precision on a backend, or None if there are none.

    ``backend`` is the name of the actual runtime, never ``auto``.
    """
    if precision == "float32":
        return manifest.calibration
    name = BF16 if precision == "bf16" else f"{_EXPORTED_FOR.get(backend)}-{precision}"
    export = manifest.exports.get(name)
    return None if export is None else export.calibration


def backend_of(export: str) -> str:
    """Return the backend that runs an export, given the export's name in the manifest.

    >>> backend_of("onnx-int8")
    'onnxruntime'
    """
    return next(name for name, to in _EXPORTED_FOR.items() if export.startswith(f"{to}-"))


def file_digest(folder: Path, name: str) -> str:
    """Return the digest under which a manifest lists a file of the run.

    For an ONNX file it is the digest of the network, which stays valid when the thresholds in the
    file's metadata change; for any other file, the SHA-256 of all bytes. Raises FlawmapError if an
    ONNX file is damaged.
    """
    return _digest(name, (folder / name).read_bytes())


def _digest(name: str, data: bytes) -> str:
    return network_digest(data) if name.endswith(".onnx") else hashlib.sha256(data).hexdigest()


def _is(name: str, data: bytes, sha256: str | None) -> bool:
    try:
        return _digest(name, data) == sha256
    except FlawmapError:  # not an ONNX file
        return False


def read_checked(folder: Path, name: str, sha256: str | None) -> bytes:
    """Read a file of the run; raise FlawmapError if it is not the one listed in the manifest."""
    try:
        data = read_regular(folder / name, _MOST_BYTES)
    except OSError as error:
        raise FlawmapError(
            f"Cannot read {folder / name}: {error.strerror}. Copy the whole run folder again."
        ) from error
    if not _is(name, data, sha256):
        what = "weights" if name == WEIGHTS else "model"
        raise FlawmapError(
            f"{folder / name} is not the {what} that its manifest names: it was changed or "
            "cut short. Copy the whole run folder again, export it again, or train again."
        )
    return data
