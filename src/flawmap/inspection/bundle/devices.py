"""Record of the runtimes and devices on which a model was compared with the trained network."""

from __future__ import annotations

import logging
from pathlib import Path

from flawmap.inspection.bundle.manifest import Manifest

_log = logging.getLogger("flawmap")
_TARGETS = {"onnxruntime": "onnx", "openvino": "openvino"}  # names used by `export --to`


def place(runtime: str, device: str) -> str:
    """Return the key of a runtime and device in ``Manifest.devices``.

    >>> place("openvino", "gpu.0")
    'openvino/GPU.0'
    """
    return f"{runtime}/{device.lower() if runtime == 'onnxruntime' else device.upper()}"


def warn_if_unmeasured(
    folder: Path, manifest: Manifest, runtime: str, device: str, precision: str
) -> None:
    """Warn if thresholds are used on a device on which the model was never compared.

    Thresholds are set on the CPU, whose runtimes are compared in training, at export and by
    flawmap's tests. Another device sums in another order and may round more coarsely.
    """
    if device.lower() == "cpu" or runtime not in _TARGETS:
        return
    if precision != "float32":
        _log.warning(
            "The %s model of %s was compared on the CPU, not on %s, where verdicts may differ.",
            precision, folder, device,
        )  # fmt: skip
        return
    parity = manifest.devices.get(place(runtime, device))
    if parity is None:
        _log.warning(
            "%s was never compared on %s, and its thresholds were set on the CPU. Compare it: "
            "flawmap export %s --to %s --device %s",
            folder, device, folder, _TARGETS[runtime], device,
        )  # fmt: skip
    elif (apart := max(parity.map, parity.score)) > parity.limit:
        _log.warning("Map or score of %s differs on %s by up to %.2g.", folder, device, apart)
