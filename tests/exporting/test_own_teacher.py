"""A run trained with a weights file as teacher needs that file no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

import flawmap
from flawmap.benchmark.latency import load_inspector
from flawmap.inspection.inspector import Inspector
from methods.tiny import tiny_teacher


@pytest.fixture(scope="module")
def trained(tiny_data, plain, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    file = folder / "mynet.safetensors"
    save_file(tiny_teacher().state_dict(), file)
    flawmap.train(
        tiny_data, folder / "run", method=plain, teacher=file, rotate="slight",
        size=(64, 64), steps=4, batch_size=2,
    )  # fmt: skip
    file.unlink()
    return folder / "run"


def test_it_runs_in_torch(trained: Path):
    network, graph = load_inspector(trained, backend="torch"), Inspector.load(trained)
    assert graph.manifest.teacher.file == "mynet.safetensors"
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    found, expected = network.inspect(image), graph.inspect(image)
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-4)


def test_it_exports(trained: Path, tmp_path: Path):
    shutil.copytree(trained, tmp_path / "run")
    assert flawmap.export(tmp_path / "run", "onnx").within_limits
