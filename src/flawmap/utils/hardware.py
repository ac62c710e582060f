"""Hardware and software versions of this machine, for manifests and result files."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "flawmap", "numpy", "pillow", "scipy", "onnxruntime", "openvino", "torch", "onnx",
)  # fmt: skip

_CPUINFO = Path("/proc/cpuinfo")

# A processor's name may hide its generation; bf16 and INT8 results depend on these.
_ARITHMETIC = {
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8",
}  # fmt: skip


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the threads for a model where none are asked for: all cores, or OMP_NUM_THREADS.

    Schedulers and containers set that variable; a value that is no number above 0 is ignored.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(given) if given.isdecimal() else 0
    return min(available_cores(), limit) if limit else available_cores()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that results depend on."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def hardware() -> dict[str, str | int]:
    """Return processor, cores and system; on Linux also instruction sets for networks."""
    return {
        "processor": _processor(),
        "arithmetic": " ".join(sorted(_ARITHMETIC & set(_cpuinfo("flags").split()))),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(key: str) -> str:
    """Return the first value of a key in /proc/cpuinfo; empty if there is none."""
    try:
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        pass
    return ""
