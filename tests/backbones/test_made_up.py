"""Any backbone that fulfils the contract trains, exports and inspects with every method."""

from __future__ import annotations

import numpy as np
import pytest

import flawmap
from backbones.made_up import MADE_UP, registered
from flawmap.benchmark.latency import load_inspector
from flawmap.data.image_io.images import write_png
from flawmap.inspection.inspector import Inspector

pytestmark = pytest.mark.slow
SIZES = {"two-levels": (48, 64), "stride-14": (56, 112)}


@pytest.fixture(autouse=True, scope="module")
def known():
    with registered():
        yield


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("two-levels", "destseg"),
        pytest.param("two-levels", "adps", marks=pytest.mark.long),
        pytest.param("two-levels", "stpm", marks=pytest.mark.long),
        pytest.param("stride-14", "destseg", marks=pytest.mark.long),
        pytest.param("stride-14", "adps", marks=pytest.mark.long),
        ("stride-14", "stpm"),
    ],
)
def test_it_trains_exports_and_predicts(name, method, tiny_data, tiny_textures, tmp_path):
    run = tmp_path / "run"
    flawmap.train(  # refuses to finish where graph and network differ by more than 1e-4
        tiny_data, run, method=method, teacher=name, size=SIZES[name],
        steps=4, batch_size=2, rotate="slight", textures=tiny_textures,
        changes={"patches": 2} if method == "adps" else {},
    )  # fmt: skip
    inspector = Inspector.load(run)
    teacher = inspector.manifest.teacher
    assert (teacher.name, teacher.backbone) == (name, name)
    assert teacher.licence == MADE_UP[name].weights_licence
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    write_png(tmp_path / "image.png", image)
    (found,) = flawmap.predict(run, tmp_path / "image.png")
    rebuilt = load_inspector(run, backend="torch").inspect(image)
    assert found.score == pytest.approx(rebuilt.score, abs=1e-4)
