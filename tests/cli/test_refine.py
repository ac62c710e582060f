"""``flawmap refine`` on the command line: the comparison, or why there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import flawmap
from flawmap.cli import app
from flawmap.inspection.bundle.manifest import read_manifest
from methods.taught import registered


@pytest.fixture(scope="module")
def taught() -> Iterator[str]:
    with registered() as name:
        yield name


@pytest.fixture(scope="module")
def place(once: Any, tiny_data: Path, tiny_textures: Path, taught: str) -> Path:
    """A run, and a folder with one crack and its mask."""

    def make(folder: Path) -> None:
        flawmap.train(
            tiny_data, folder / "run", method=taught, teacher="pocket", rotate="slight", steps=4,
            batch_size=4, size=(64, 64), textures=tiny_textures,
        )  # fmt: skip
        (image,) = (tiny_data / "test" / "crack").iterdir()
        (mask,) = (tiny_data / "ground_truth" / "crack").iterdir()
        for source, name in ((image, "crack"), (mask, "masks/crack")):
            (folder / "known" / name).mkdir(parents=True)
            shutil.copy(source, folder / "known" / name / image.name)

    return Path(once("cli-refine", make))


@pytest.fixture
def refine(place: Path, tmp_path: Path, tiny_textures: Path) -> Callable[..., Any]:
    """Run the command; its result, with what it prints."""

    def run(*more: object) -> Any:
        words = ["refine", place / "run", "--out", tmp_path / "new", "--textures", tiny_textures]
        words += ["--defects", place / "known", *more]
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_it_prints_both_runs_side_by_side(
    refine: Callable[..., Any], place: Path, tmp_path: Path, tiny_data: Path
):
    done = refine()
    assert done.exit_code == 0, done.output
    assert f"Compared on 8 images of {tiny_data} that neither run has learned from" in done.output
    rows = {line.split("  ")[0].strip("│ "): line for line in done.output.splitlines()}
    assert any("parent" in line and "refined" in line for line in rows.values())
    compared = flawmap.compare_with_parent(place / "run", tmp_path / "new", tiny_data)
    assert compared is not None
    before, after = compared.parent.metrics, compared.refined.metrics
    line = next(line for line in done.output.splitlines() if "image_auroc" in line)
    for number in (before["image_auroc"], after["image_auroc"]):
        assert f"{number:.3f}" in line
    assert "defects passed as good, of 5" in done.output
    assert "good parts rejected, of 3" in done.output
    assert done.output.rstrip().endswith(f"Inspector: {tmp_path / 'new'}")
    shown = CliRunner().invoke(app, ["info", str(tmp_path / "new")])
    text = " ".join(shown.output.split())
    assert "1 crack, from" in text
    assert f"run {read_manifest(tmp_path / 'new').training.history[0].parent} with" in text


def test_it_says_why_there_is_no_comparison(
    refine: Callable[..., Any], tmp_path: Path, tiny_data: Path
):
    only_good = tmp_path / "test"
    shutil.copytree(tiny_data / "test" / "good", only_good / "good")
    done = refine("--test", only_good)
    assert done.exit_code == 0, done.output
    assert "Not compared with its parent" in done.output
    assert "Give --test DIR" in done.output
    (tmp_path / "nothing").mkdir()
    again = refine("--resume", "--test", tmp_path / "nothing")
    assert again.exit_code == 0, again.output
    assert "already complete" in again.output
    assert "Not compared with its parent" in again.output


def test_a_mistyped_folder_is_said_before_the_work(refine: Callable[..., Any], tmp_path: Path):
    done = refine("--test", tmp_path / "nowhere")
    assert done.exit_code != 0
    assert "--test names labelled images" in str(done.exception or done.output)
    assert "Guarantee" not in done.output


@pytest.mark.long  # evaluate, compare and info run above, exports in tests/exporting
@pytest.mark.slow
def test_every_verb_takes_a_refined_run(
    tiny_run: Path, place: Path, tiny_data: Path, tiny_textures: Path, tmp_path: Path
):
    out = tmp_path / "refined"
    flawmap.refine(tiny_run, out, defects=place / "known", textures=tiny_textures)
    good = tiny_data / "test" / "good"
    assert flawmap.evaluate(out, tiny_data).metrics.images == 8
    assert len(list(flawmap.predict(out, good))) == 3
    exported = flawmap.export(out, "onnx", int8=True, force=True).calibration
    assert exported is not None
    assert exported.reused == 1
    assert flawmap.Inspector.load(out, precision="int8").inspect(next(good.iterdir())).verdict
    flawmap.calibrate(out, [good])
    assert read_manifest(out).calibration.reused == 0
