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

SIZES = {
    "resnet18": (64, 64),
    "convnext_atto": (64, 64),
    "vit_small_patch14_dinov2": (28, 56),
    "efficientnet_lite0": (64, 64),
}
BACKENDS = {"onnx": "onnxruntime", "openvino": "openvino"}
pytestmark = [needs_timm, pytest.mark.slow]


def stopping(progress: Progress) -> None:
    if progress.step == 2:
        raise FlawmapError("as if the machine had failed")


ALL = [
    pytest.param(name, method, size, marks=pytest.mark.long)
    for name, size in SIZES.items()
    for method in ("destseg", "adps", "stpm")
]


@pytest.mark.parametrize(("name", "method", "size"), [("test_vit", "stpm", (48, 80)), *ALL])
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
    if name == "test_vit":  # position embeddings are not resized
        assert flawmap.export(run, "openvino").within_limits
    for runtime in ("openvino",) if name == "test_vit" else BACKENDS:
        flawmap.export(run, runtime, int8=True, force=True)
        small = Inspector.load(run, precision="int8", backend=BACKENDS[runtime]).inspect(image)
        assert small.score == pytest.approx(expected, abs=0.05)
