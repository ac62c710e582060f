from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flawmap.benchmark import run as module
from flawmap.benchmark.grid import Grid, Variant
from flawmap.benchmark.run import bench, measure, phase_seconds
from flawmap.benchmark.workers.commands import Commands
from flawmap.errors import FlawmapError, UsageError

KEYS = {
    "method", "preset", "teacher", "dataset", "category", "seed", "device", "command", "commit",
    "versions", "hardware", "figures", "seconds", "peak_mb",
}  # fmt: skip


@pytest.fixture
def grid(tiny_data: Path, tiny_textures: Path) -> Grid:
    return Grid(
        data=tiny_data.parent, category=tiny_data.name, textures=tiny_textures,
        rotate="slight", steps=4, batch_size=2, seed=(0, 1),
    )  # fmt: skip


def one_seed(grid: Grid) -> Grid:
    return grid.model_copy(update={"seed": (0,)})


@pytest.mark.slow
def test_two_variants_of_one_training_from_images_to_result_files(
    grid: Grid, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """Real runs: the changes reach the training, and a second read-out trains nothing."""
    changes = {"read_out": "sum"}
    variants = {
        "map": Variant(changes=changes),
        "read-out": Variant(changes=changes, distances=(1, 2)),
    }
    small = {"method": ("stpm",), "size": "64x64", "variant": variants}
    asked = one_seed(grid).model_copy(update=small)
    out, work = tmp_path / "out", tmp_path / "work"
    paths = bench(asked, out, work=work)
    assert ["-map-" in paths[0].name, "-read_out-" in paths[1].name] == [True, True]
    assert capfd.readouterr().err.count("training: 4 of 4") == 1
    assert not list(work.iterdir()), "the run is not kept"
    whole, part = (json.loads(path.read_text()) for path in paths)
    check_result(whole, work)
    assert (whole["variant"], part["variant"]) == ("map", "read-out")
    assert (whole["distances"], part["distances"]) == ([], [1, 2])
    assert whole["configuration"]["read_out"] == part["configuration"]["read_out"] == "sum"
    assert whole["figures"]["pixel_ap"] != part["figures"]["pixel_ap"]
    assert part["command"].endswith("--distances 1,2")
    assert part["peak_mb"] == whole["peak_mb"]
    assert part["seconds"]["train"] == whole["seconds"]["train"]
    changed = asked.model_copy(update={"variant": {"map": Variant()}})
    with pytest.raises(UsageError, match="made with other options"):
        bench(changed, out)


def check_result(found: dict[str, Any], work: Path) -> None:
    """Of one cell that was trained in a folder below ``work``."""
    assert found.keys() >= KEYS
    assert (found["method"], found["teacher"], found["seed"]) == ("stpm", "pocket", 0)
    assert found["figures"]["instances"] >= 6
    assert 0 <= found["figures"]["image_auroc"] <= 1
    assert found["peak_mb"] > 100
    assert {"train", "train_student", "evaluate"} <= found["seconds"].keys()
    assert found["seconds"]["train_student"] <= found["seconds"]["train"] + 0.2
    assert found["command"].startswith("flawmap train ")
    assert " --out RUN " in found["command"]
    assert " && flawmap evaluate RUN " in found["command"]
    assert str(work) not in found["command"], "a folder that is gone"
    assert found["training"]["steps"] == 4
    assert "folder" not in found["training"], "a path of one machine"
    assert found["parity"]["map"] <= found["parity"]["limit"] == 1e-4


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cells that were measured, by a stand-in that takes no time."""
    names: list[str] = []

    def stand_in(cell, run: Path, commands: Commands) -> dict[str, Any]:
        names.append(cell.name)
        run.mkdir(parents=True, exist_ok=True)
        if cell.teacher == "unknown":
            raise FlawmapError("there is no such teacher.")
        return {"seed": cell.seed}

    monkeypatch.setattr(module, "measure", stand_in)
    return names


def test_what_is_measured_is_not_measured_again(grid: Grid, tmp_path: Path, measured: list[str]):
    said: list[str] = []
    bench(one_seed(grid), tmp_path, say=said.append)
    files = bench(grid, tmp_path, say=said.append)
    assert measured == [cell.name for cell in grid.cells()]
    assert [json.loads(path.read_text())["seed"] for path in files] == [0, 1]
    assert "1 of 2 are already measured." in said
    bench(grid, tmp_path)
    assert len(measured) == 2


def test_a_failure_is_told_after_all_others_were_measured(
    grid: Grid, tmp_path: Path, measured: list[str]
):
    both = grid.model_copy(update={"teacher": ("unknown", "pocket")})
    said: list[str] = []
    with pytest.raises(FlawmapError, match=r"2 of 4 failed: .*unknown-0, .*unknown-1"):
        bench(both, tmp_path / "out", work=tmp_path / "runs", say=said.append)
    assert len(measured) == 4
    assert len(list((tmp_path / "out").glob("*.json"))) == 2
    assert sum("no such teacher" in text for text in said) == 2
    assert len(list((tmp_path / "runs").iterdir())) == 2, "what failed is left to go on with"


def test_a_result_of_other_options_is_refused(grid: Grid, tmp_path: Path, measured: list[str]):
    bench(grid, tmp_path)
    other = grid.model_copy(update={"steps": 6})
    with pytest.raises(UsageError, match="made with other options"):
        bench(other, tmp_path)


def test_a_result_of_other_data_with_the_same_names_is_refused(tmp_path: Path, measured: list[str]):
    for version in ("v1", "v2"):
        folder = tmp_path / version / "parts" / "screw" / "train" / "good"
        folder.mkdir(parents=True)
        (folder / "0.png").write_text(version)
    out = tmp_path / "out"
    bench(Grid(data=tmp_path / "v1" / "parts"), out)
    with pytest.raises(UsageError, match=r"made with other options.* or other data"):
        bench(Grid(data=tmp_path / "v2" / "parts"), out)
    (tmp_path / "v1").rename(tmp_path / "moved")
    bench(Grid(data=tmp_path / "moved" / "parts"), out)
    assert len(measured) == 1
    assert str(tmp_path) not in next(out.glob("*.json")).read_text(), "a path of one machine"


def test_a_result_of_other_weights_with_the_same_name_is_refused(
    grid: Grid, tmp_path: Path, measured: list[str]
):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.safetensors").write_text(folder)
    by = [grid.model_copy(update={"teacher": (str(tmp_path / one / "x.safetensors"),)})
          for one in ("a", "b")]  # fmt: skip
    bench(by[0], tmp_path / "out")
    with pytest.raises(UsageError, match="made with other options, another teacher"):
        bench(by[1], tmp_path / "out")


def test_a_result_is_stored_as_soon_as_it_is_made(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A bench that is stopped between two read-outs of a training keeps the first."""

    def stand_in(cell, run: Path, commands: Commands) -> dict[str, Any]:
        if cell.variant == "second":
            raise KeyboardInterrupt
        return {"seed": cell.seed}

    monkeypatch.setattr(module, "measure", stand_in)
    variants = {"first": Variant(), "second": Variant(distances=(1,))}
    with pytest.raises(KeyboardInterrupt):
        bench(one_seed(grid).model_copy(update={"variant": variants}), tmp_path)
    assert ["-first-" in path.name for path in tmp_path.glob("*.json")] == [True]


def test_it_runs_nowhere_else(grid: Grid, tmp_path: Path):
    with pytest.raises(UsageError, match=r"--on lokal: give local, ray or ray://HOST:PORT"):
        bench(grid, tmp_path, on="lokal")


def test_keep_leaves_the_inspectors(grid: Grid, tmp_path: Path, measured: list[str]):
    bench(grid, tmp_path, keep=True)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_file_that_is_no_result(grid: Grid, tmp_path: Path, measured: list[str]):
    (tmp_path / f"{grid.cells()[0].name}.json").write_text("[]")
    with pytest.raises(UsageError, match="is not a bench result"):
        bench(grid, tmp_path)
    assert not measured


def test_a_verb_that_fails_says_so(grid: Grid, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    cell = grid.model_copy(update={"rotate": "sideways"}).cells()[0]
    with pytest.raises(FlawmapError, match=r"flawmap train ended with status 2"):
        measure(cell, tmp_path / "run", Commands())
    assert "sideways" in capfd.readouterr().err


def test_phases_by_the_log():
    lines = [
        {"phase": "student", "seconds": 4.0},
        {"phase": "student", "seconds": 10.0},
        {"phase": "head", "seconds": 13.5},
    ]
    assert phase_seconds(lines) == {"train_student": 10.0, "train_head": 3.5}
    assert phase_seconds([]) == {}


def test_a_grid_may_be_a_file(grid: Grid, tmp_path: Path, measured: list[str]):
    path = tmp_path / "grid.yaml"
    path.write_text(f"data: {grid.data}\ncategory: {grid.category[0]}\nseed: [5]\n")
    (file,) = bench(path, tmp_path / "out")
    assert json.loads(file.read_text())["seed"] == 5


def test_a_bench_deletes_nothing_but_its_own_runs(grid: Grid, tmp_path: Path, measured: list[str]):
    work = tmp_path / "work"
    first, second = grid.cells()
    (work / first.run).mkdir(parents=True)
    (work / first.run / "manifest.json").write_text("mine")
    with pytest.raises(FlawmapError, match="1 of 2 failed"):
        bench(grid, tmp_path / "out", work=work)
    assert (work / first.run / "manifest.json").read_text() == "mine"
    assert measured == [second.name]


def test_a_file_of_a_user_in_a_run_of_a_bench_stays(grid: Grid, tmp_path: Path, measured):
    bench(one_seed(grid), tmp_path / "out", work=tmp_path, keep=True)
    run = tmp_path / grid.cells()[0].run
    (run / "notes.txt").write_text("mine")
    for result in (tmp_path / "out").iterdir():
        result.unlink()
    bench(one_seed(grid), tmp_path / "out", work=tmp_path)
    assert [path.name for path in run.iterdir()] == ["notes.txt"]


def test_a_run_of_other_options_is_not_measured_as_this(grid: Grid, tmp_path: Path, measured):
    bench(one_seed(grid), tmp_path / "out", work=tmp_path, keep=True)
    other = one_seed(grid).model_copy(update={"steps": 6})
    said: list[str] = []
    with pytest.raises(FlawmapError, match="1 of 1 failed"):
        bench(other, tmp_path / "new", work=tmp_path, say=said.append)
    assert "started with other options" in said[-1]
