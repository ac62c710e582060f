"""Export of a trained model for the precision in which a station inspects."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.bundle.models import read_model
from flawmap.runtime.registry import choose
from flawmap.station.config import StationConfig
from flawmap.station.database.tables import Job
from flawmap.station.improve.training import RunProcess, export_command


def export(config: StationConfig, job: Job, run: Path, run_process: RunProcess) -> None:
    """Export a trained run for the station's backend and precision, unless that was done already.

    Raises FlawmapError, which says how to go on, if the run cannot be exported so.
    """
    if config.precision == "float32" or _missing(config, run) is None:
        return
    to = ["--to", _target(config), *(["--int8"] if config.precision == "int8" else [])]
    try:
        run_process(job, export_command(run, to), f"Exporting for {config.precision}")
        problem = _missing(config, run)
    except FlawmapError as error:
        problem = str(error)
    if problem is not None:
        raise FlawmapError(
            f"The model is trained, but cannot inspect in {config.precision} as this station does. "
            f"{problem} Either run flawmap export {run} {' '.join(to)} yourself, with what this "
            "message asks for, or restart the station with --precision float32. Then press Go on."
        )


def _missing(config: StationConfig, run: Path) -> str | None:
    """Return why the station could not load a run, or None if it could."""
    try:
        read_model(run, read_manifest(run), config.backend, config.precision)
    except FlawmapError as error:
        return str(error)
    return None


def _target(config: StationConfig) -> str:
    """Return the format for the station's backend; `auto` needs OpenVINO's packages for its own."""
    backend = choose(config.backend, config.device, config.precision)
    if config.precision == "int8" and config.backend == "auto" and not find_spec("nncf"):
        backend = "onnxruntime"
    return "onnx" if backend == "onnxruntime" else "openvino"
