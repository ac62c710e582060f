"""The end of training: what the read-out learns from good images, and how it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import WEIGHTS, Preprocessing, Teacher, Training
from flawmap.methods.adps.config import AdpsConfig
from flawmap.methods.adps.method import AdpsMethod
from flawmap.training import finalize as module
from flawmap.training.finalize import finish
from flawmap.training.fit import fit_read_out
from methods.tiny import SIZE, tiny_method, tiny_teacher
from training.tiny import tiny_images

TRAINING = Training(
    data="stripes", folder="stripes", layout="folder", images=20, held_out=4, skipped=0,
    fingerprint="", trained_on=(), rotation="none", rotation_reason="", textures="", seed=0,
    steps=2, device="cpu", precision="float32", seconds={},
)  # fmt: skip


pytestmark = pytest.mark.slow  # exports a network


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An ADPS that levels its maps, straight from its random start; with its good images."""
    folder = tmp_path_factory.mktemp("finished")
    torch.manual_seed(0)
    config = AdpsConfig(size=SIZE, patches=4, widths=(8, 8), levelling=1.0)
    method, good = AdpsMethod(tiny_teacher(), config), tiny_images(4)
    method.module.train()  # as the loop may leave it
    fit_read_out(method, good)
    held_out = tiny_images(8)[4:]
    inspector = finish(
        folder, method, Preprocessing(size=SIZE), held_out, held_out,
        Teacher(name="tiny", file="", sha256=""), TRAINING,
        method="adps", preset="paper", configuration=config.model_dump(mode="json"),
    )  # fmt: skip
    return folder, inspector, method.module, good, held_out


def test_good_images_fit_the_read_out_and_the_weights_keep_it(finished):
    folder, _, module, good, _ = finished
    with torch.no_grad():
        x = module.normalise_image(torch.tensor(good).permute(0, 3, 1, 2) / 255)
        medians = module.level.medians(module.segment(module.teach(x), module.student(x)))
    assert load_file(folder / WEIGHTS)["level.usual"].item() == pytest.approx(
        medians.sort().values[1].item(), abs=1e-5
    )


def test_the_graph_and_its_thresholds_have_the_fitted_read_out(finished):
    _, inspector, module, _, held_out = finished
    odd = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    with torch.no_grad():
        expected = module(torch.tensor(odd).permute(0, 3, 1, 2) / 255)[0].numpy()
    np.testing.assert_allclose(inspector.backend(odd)[0], expected, atol=1e-5)
    scores = sorted(inspector.inspect(image).score for image in held_out)
    np.testing.assert_allclose(sorted(inspector.manifest.calibration.scores), scores, atol=1e-6)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_graph_that_differs_is_traced_anew_once(
    failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may stem from the graph of another network, which a new trace does not."""
    traced: list[bool] = []

    def export(*_: object, anew: bool, **__: object) -> None:
        traced.append(anew)
        (tmp_path / "model.onnx").touch()

    def measure(*_: object) -> str:
        if len(traced) <= failures:
            raise FlawmapError("The ONNX graph differs.")
        return "parity"

    monkeypatch.setattr(module, "export_onnx", export)
    monkeypatch.setattr(module, "OnnxRuntime", len)
    monkeypatch.setattr(module, "measure_parity", measure)
    method, tiles = tiny_method("fast"), np.zeros((1, *SIZE, 3), np.uint8)
    if failures == 2:
        with pytest.raises(FlawmapError, match="differs"):
            module._export(method, SIZE, tmp_path / "model.onnx", tiles)
    else:
        assert module._export(method, SIZE, tmp_path / "model.onnx", tiles)[1] == "parity"
    assert traced == [False, True][: failures + 1]
