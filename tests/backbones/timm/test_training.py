"""Networks of timm train, resume, export and run in INT8, with every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flawmap
from backbones.timm.files import needs_timm, random_file, real_file
from flawmap.benchmark.latency import load_inspector
from flawmap.errors import FlawmapError
from flawmap.inspection.inspector import Inspector
from flawmap.training.steps.loop import Progress, Reporter

BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
pytestmark = [needs_timm, pytest.mark.slow]


def stopping(progress: Progress) -> None:
    if progress.step == 2:
        raise FlawmapError("as if the machine had failed")


@pytest.mark.parametrize(
    ("name", "method", "size"),
    [
        pytest.param("resnet18", "destseg", (64, 64), marks=pytest.mark.long),
        pytest.param("convnext_atto", "adps", (64, 64), marks=pytest.mark.long),
        pytest.param("vit_small_patch14_dinov2", "stpm", (28, 42), marks=pytest.mark.long),
        ("test_vit", "stpm", (48, 80)),
        pytest.param("efficientnet_lite0", "stpm", (64, 64), marks=pytest.mark.long),
    ],
)
def test_it_trains_resumes_and_exports(
    name, method, size, tiny_data, tiny_textures, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("flawmap.training.steps.loop._LOG_EVERY", 1)
    monkeypatch.setattr("flawmap.exporting.export._ANOMALIES", 4)
    monkeypatch.setattr("flawmap.exporting.synthetic._TEXTURES", 4)
    real = name == "efficientnet_lite0"
    file = real_file(tmp_path) if real else random_file(tmp_path, name)
    run = tmp_path / "run"

    def train(resume: bool, **options: object) -> None:
        flawmap.train(  # refuses to finish where graph and network differ by more than 1e-4
            tiny_data, run, method=method, teacher=f"timm:{name}@{file}", size=size, steps=4,
            batch_size=2, rotate="slight", textures=tiny_textures if method != "stpm" else None,
            resume=resume, checkpoint_seconds=0.0,
            changes={"patches": 2} if method == "adps" else {}, **options,
        )  # fmt: skip

    with pytest.raises(FlawmapError, match="as if"):
        train(False, reporter=Reporter(show=stopping))
    train(True)
    inspector = Inspector.load(run)
    assert inspector.manifest.teacher.backbone == f"timm:{name}"
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    expected = inspector.inspect(image).score
    file.unlink()
    rebuilt = load_inspector(run, backend="torch").inspect(image)
    assert rebuilt.score == pytest.approx(expected, abs=1e-4)
    if name != "test_vit":
        return
    assert flawmap.export(run, "openvino").within_limits  # position embeddings are not resized
    for runtime in ("onnx", "openvino"):
        flawmap.export(run, runtime, int8=True, force=True)
        small = Inspector.load(run, precision="int8", backend=BACKENDS[runtime]).inspect(image)
        assert small.score == pytest.approx(expected, abs=0.05)
