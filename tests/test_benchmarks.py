"""The scripts of ``benchmarks/`` measure what they should, beside src as it is now."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from flawmap.methods.destseg.model import Destseg
from flawmap.methods.registry import find_preset
from flawmap.utils.files import replacing, sweep
from methods.tiny import tiny_teacher

SIZE = 64


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))


@pytest.mark.slow
@pytest.mark.usefixtures("benchmarks")
def test_the_plain_step_trains_the_network_of_its_phase_alone(tmp_path: Path) -> None:
    from baseline import Baseline

    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    Image.fromarray(picture).save(path := tmp_path / "picture.png")
    torch.manual_seed(0)
    model = Destseg(tiny_teacher(), find_preset("destseg", "paper"))  # type: ignore[arg-type]
    plain = Baseline(model, [path], [path], batch=2, size=SIZE)
    for phase in ("student", "head"):
        before = {n: p.clone() for n, p in model.named_parameters()}
        assert np.isfinite(plain.step(phase))
        moved = {n.split(".")[0] for n, p in model.named_parameters() if not p.equal(before[n])}
        assert moved == {phase}


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(("place", "status"), [("a.json", -9), ("b.json", 0)])
def test_torture_kills_while_a_file_is_written(tmp_path: Path, place: str, status: int) -> None:
    from torture import Trap, in_process, laps

    (folder := tmp_path / "run").mkdir()
    (path := folder / "a.json").write_text("old")
    trap = Trap(tmp_path / "notes", place, delay=0.05)

    def write() -> None:
        sys.addaudithook(trap.hear)
        with replacing(path) as temporary, temporary.open("w") as file:
            threading.Event().wait(60 if status else 0)
            file.write("new")

    assert in_process(write) == status
    assert path.read_text() == ("old" if status else "new")
    assert "a.json" in laps(trap.notes)
    sweep(folder)
    assert list(folder.iterdir()) == [path]


@pytest.mark.usefixtures("benchmarks")
def test_its_masks_are_blots() -> None:
    from baseline import perlin_mask

    rng = np.random.default_rng(0)
    masks = np.stack([perlin_mask(rng, SIZE) for _ in range(200)])
    assert 0.03 < masks.mean() < 0.07
    assert np.median([scipy.ndimage.label(mask)[1] for mask in masks]) > 3


@pytest.mark.usefixtures("benchmarks")
def test_coverage_is_summed_by_package() -> None:
    from coverage_report import COUNTS, summary

    files = {
        "src/flawmap/errors.py": dict(zip(COUNTS, (2, 2, 0, 0), strict=True)),
        "/at/src/flawmap/data/a.py": dict(zip(COUNTS, (6, 8, 1, 2), strict=True)),
        "/at/src/flawmap/data/masks/b.py": dict(zip(COUNTS, (0, 10, 0, 0), strict=True)),
        "src/flawmap/utils/__init__.py": dict(zip(COUNTS, (0, 0, 0, 0), strict=True)),
    }
    found = summary(files)
    assert found["packages"] == {"flawmap": 100.0, "data": 35.0, "utils": 0.0}
    assert found["percent"] == 40.9  # 9 of 22
    assert (found["num_statements"], found["num_branches"]) == (20, 2)
