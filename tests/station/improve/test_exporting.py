"""The export after a training, for stations that inspect in INT8 or bf16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Export, read_manifest, write_manifest
from flawmap.station.config import StationConfig
from flawmap.station.database.tables import Job
from flawmap.station.improve import exporting


class Processes:
    """Stands in for a job's processes: each one adds an export, or fails with these words."""

    def __init__(self, run: Path, adds: str | None = None, fails: str | None = None) -> None:
        self.run, self.adds, self.fails = run, adds, fails
        self.commands: list[Sequence[str]] = []
        self.said: list[str] = []

    def __call__(self, job: Job, command: Sequence[str], doing: str) -> None:
        self.commands.append(command)
        self.said.append(doing)
        if self.fails:
            raise FlawmapError(f"It failed: {self.fails}")
        if self.adds:
            add_export(self.run, self.adds)


def add_export(run: Path, name: str) -> None:
    """Add an export with thresholds to a run; its file is the trained model."""
    manifest = read_manifest(run)
    precision: Any = name.rpartition("-")[2]
    files = {} if precision == "bf16" else {"model.onnx": manifest.files["model.onnx"]}
    added = Export(
        precision=precision,
        files=files,
        calibration=manifest.calibration,
        within_limits=True,
        **dict.fromkeys(("map_max", "map_mean", "score_max", "score_mean", "p_value_mean"), 0.0),
        **dict.fromkeys(("images", "flips"), 0),
    )
    write_manifest(run, manifest.model_copy(update={"exports": {name: added}}))


@pytest.mark.parametrize(
    ("settings", "options", "name"),
    [
        ({"precision": "int8", "backend": "onnxruntime"}, "--to onnx --int8", "onnx-int8"),
        ({"precision": "int8", "backend": "openvino"}, "--to openvino --int8", "openvino-int8"),
        ({"precision": "bf16"}, "--to openvino", "openvino-bf16"),
    ],
)
def test_what_the_station_needs_is_made_once(
    tmp_path: Path, run_copy: Path, settings: dict[str, Any], options: str, name: str
) -> None:
    config = StationConfig(data=tmp_path, **settings)
    processes = Processes(run_copy, adds=name)
    for _ in range(2):  # the second time, as after a restart
        exporting.export(config, Job(), run_copy, processes)
    (command,) = processes.commands
    assert " ".join(command).endswith(f"export {run_copy} {options}")
    assert processes.said == [f"Exporting for {config.precision}"]


def test_float32_needs_no_export(tmp_path: Path, run_copy: Path) -> None:
    processes = Processes(run_copy)
    exporting.export(StationConfig(data=tmp_path), Job(), run_copy, processes)
    assert not processes.commands


@pytest.mark.parametrize(("installed", "to"), [(True, "openvino"), (False, "onnx")])
def test_without_its_packages_no_export_for_openvino(
    tmp_path: Path, run_copy: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, to: str
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda _: installed or None)
    processes = Processes(run_copy, adds=f"{to}-int8")
    config = StationConfig(data=tmp_path, precision="int8")
    exporting.export(config, Job(), run_copy, processes)
    assert list(processes.commands[0][-3:]) == ["--to", to, "--int8"]


def test_a_refused_export_says_how_to_go_on(tmp_path: Path, run_copy: Path) -> None:
    config = StationConfig(data=tmp_path, precision="int8", backend="onnxruntime")
    refused = Processes(run_copy, fails="INT8 loses .2 of pixel AP. To keep it, give --force.")
    with pytest.raises(FlawmapError) as caught:
        exporting.export(config, Job(), run_copy, refused)
    for said in ("loses .2", f"flawmap export {run_copy} --to onnx --int8", "Go on", "float32"):
        assert said in str(caught.value)
    add_export(run_copy, "onnx-int8")  # by hand, with --force
    exporting.export(config, Job(), run_copy, refused)
    assert len(refused.commands) == 1


def test_an_export_without_thresholds_is_none(tmp_path: Path, run_copy: Path) -> None:
    """As of bf16 on a processor that cannot compute in it."""
    config = StationConfig(data=tmp_path, precision="bf16")
    with pytest.raises(FlawmapError, match=r"no thresholds for bf16.*Go on"):
        exporting.export(config, Job(), run_copy, Processes(run_copy))
