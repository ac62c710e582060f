"""The scripts of ``benchmarks/`` measure what they should, beside src as it is now."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from flawmap.benchmark.grid import read_grid
from flawmap.methods.destseg.model import Destseg
from flawmap.methods.registry import find_preset
from flawmap.utils.files import replacing, sweep
from methods.tiny import tiny_config, tiny_teacher
from training.steps.test_graphs import Recorder

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


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: None) -> Path:
    """Data as in ``../shared``, and presets and backbones in miniature."""
    import speed

    for name in ("data/mvtec_ad_256/screw/train/good/0.png", "data/dtd_256/images/0.jpg"):
        (path := tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    monkeypatch.setattr(speed, "find_preset", lambda method, preset: tiny_config(preset))
    monkeypatch.setattr(speed.Shared, "teacher", lambda shared, name: tiny_teacher())
    return tmp_path


def test_speed_measures_every_preset_and_phase(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import speed

    few = {label: speed.OURS[label] for label in ("paper", "fast pocket, not turned")}
    monkeypatch.setattr(speed, "OURS", few)
    steps = dict.fromkeys(speed.PHASES, lambda: None)
    monkeypatch.setattr(speed, "baseline", lambda *args: steps)  # it has a test of its own
    with ExitStack() as stack:
        found = speed.measure(speed.Shared(shared), 1, 2, 1, torch.device("cpu"), stack)
    timed = [f"{label} {phase}" for label in ("baseline", *speed.OURS) for phase in speed.PHASES]
    assert list(found["seconds_an_image"]) == timed
    assert set(found["speed_up"]) >= {f"{label}, both phases" for label in speed.OURS}


def test_speed_on_a_gpu_trains_as_flawmap_train_does(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stand-in for the GPU: the steps are captured, best among them."""
    import speed

    device = Recorder()
    monkeypatch.setattr(speed, "choose_graphs", lambda *args, **named: device)
    preset, teacher, rotation = speed.FOR_A_GPU["best"]
    with ExitStack() as stack:
        steps, batch = speed.ours(
            speed.Shared(shared), preset, teacher, rotation, None, torch.device("cpu"), stack
        )
        for _ in range(speed.WARM_UP + 2):
            for name in speed.PHASES:
                steps[name]()
    assert (batch, device.captures, device.replays) == (4, 2, 4)


@pytest.mark.usefixtures("benchmarks")
def test_bf16_profile_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import bf16_profile

    monkeypatch.setattr(bf16_profile, "find_preset", lambda method, preset: tiny_config(preset))
    teacher = (tiny_teacher(), None)
    monkeypatch.setattr(bf16_profile, "load_teacher", lambda weights: teacher)
    monkeypatch.setattr(bf16_profile, "_SIDE", 32)
    monkeypatch.setattr(bf16_profile, "_SHOWN", 0.0)
    found = bf16_profile.measure(1, 2, Path(), "float32")
    assert sum(found["shares"].values()) == pytest.approx(1, abs=0.02)
    own = {k: v for k, v in found["shares"].items() if bf16_profile.is_convolution(k)}
    assert "aten::convolution_backward" in own
    assert found["convolution_share"] == pytest.approx(sum(own.values()), abs=0.01)
    assert found["gflop_a_step"] > 0


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize("name", ["tiling", "int8", "guidance"])
def test_help_is_no_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as done:
        importlib.import_module(name).main()
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}.py [-h]")


@pytest.mark.posix
def test_gpu_script_says_what_is_missing(tmp_path: Path) -> None:
    (folder := tmp_path / "benchmarks").mkdir()
    script = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.sh"
    shutil.copy(script, folder)
    run = ["bash", str(folder / "gpu.sh")]
    found = subprocess.run(run, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert ".gpu/data/mvtec_ad_256/screw is missing" in found.stderr
    for needed in ("mvtec_ad_256/screw", "mvtec_ad_256/transistor", "dtd_256"):
        (tmp_path / ".gpu" / "data" / needed).mkdir(parents=True)
    (tmp_path / ".gpu" / "weights").mkdir()
    env = os.environ | {"PYTHON": "false"}  # as where torch sees no GPU
    found = subprocess.run(run, capture_output=True, text=True, check=False, env=env)
    assert (found.returncode, "no NVIDIA GPU" in found.stderr) == (2, True)


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize("name", ["gpu_paper", "gpu_best"])
def test_gpu_grids_are_grids(name: str, tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[1] / "benchmarks" / f"{name}.yaml").read_text()
    (folder := tmp_path / "benchmarks").mkdir()
    (folder / "grid.yaml").write_text(text)
    for category in ("screw", "transistor"):
        (tmp_path / ".gpu" / "data" / "mvtec_ad_256" / category).mkdir(parents=True)
    cells = read_grid(folder / "grid.yaml").cells()
    assert len(cells) == {"gpu_paper": 6, "gpu_best": 2}[name]
    assert all(cell.options.device == "cuda" for cell in cells)
    for cell in cells:
        find_preset(cell.method, cell.preset)


@pytest.mark.usefixtures("benchmarks")
def test_feedback_keeps_the_promise_unless_rejected_parts_calibrate() -> None:
    from feedback import simulate, summary

    ways = ("training", "calibration", "both")
    last = {w: summary([simulate(w, seed) for seed in range(40)])[-1] for w in ways}
    kept = last["training"]
    assert kept["promised"] == pytest.approx(0.05)
    assert kept["observed"] <= kept["promised"] + 3 * kept["error"]
    assert kept["observed"] >= kept["promised"] - 4 * kept["error"], "a rate of 0 keeps any promise"
    # thresholds set by rejected parts are too high: they pass defects
    assert last["calibration"]["recall"] < kept["recall"] - 0.1
    assert last["calibration"]["observed"] < kept["observed"] / 2


@pytest.mark.usefixtures("benchmarks")
def test_rates_of_the_simulated_line_are_those_of_drawn_parts() -> None:
    from feedback import _Line, _parts

    line = _Line.start(np.random.default_rng(3))
    score = line.learn()
    above, recall = line.rates(score, 1.2)
    rng = np.random.default_rng(4)
    good = _parts(rng, 100_000) @ score
    assert (good > 1.2).mean() == pytest.approx(above, abs=0.005)
    shifted = good[:, None] + line.types @ score
    assert (shifted > 1.2).mean() == pytest.approx(recall, abs=0.005)
