"""Training with known defects: every option beside it, and everything that is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.training.steps.loop import Reporter
from flawmap.utils.files import digest


class Said(list[str]):
    @property
    def reporter(self) -> Reporter:
        return Reporter(say=self.append)

    def holding(self, words: str) -> list[str]:
        return [line for line in self if words in line]


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture(scope="module")
def run(
    once: Any, tiny_data: Path, known_defects: Path, options: dict[str, Any]
) -> Path:  # fmt: skip
    def make(folder: Path) -> None:
        said = Said()
        flawmap.train(
            tiny_data, folder / "run", defects=known_defects, reporter=said.reporter, **options
        )
        (folder / "said.txt").write_text("\n".join(said), encoding="utf-8")

    return Path(once("with-defects", make) / "run")


def digests(folder: Path) -> set[str]:
    return {digest(path) for path in folder.rglob("*.png") if "masks" not in path.parts}


def test_the_manifest_says_what_was_learned(run: Path, known_defects: Path):
    learned = read_manifest(run).training.defects
    assert learned is not None
    assert learned.folders == (str(known_defects.resolve()),)
    assert learned.types == {"chip": 1, "crack": 1, "scratch": 1}
    assert learned.without_mask == 1
    assert {*learned.files} == digests(known_defects)
    said = (run.parent / "said.txt").read_text(encoding="utf-8")
    assert "Known defects: 3 images of 3 types (chip, crack, scratch), 1 without mask" in said
    assert "--use-defects" not in said


def test_only_the_head_learns_from_them(run: Path, parent: Path):
    from safetensors.numpy import load_file

    with_them, without = (load_file(one / "weights.safetensors") for one in (run, parent))
    changed = {name for name, x in with_them.items() if (x != without[name]).any()}
    assert changed
    assert {name.partition(".")[0] for name in changed} == {"head"}


def test_evaluation_leaves_them_out(run: Path, parent_copy: Path, tiny_data: Path, tmp_path: Path):
    own = shutil.copytree(run, tmp_path / "own")
    found, before = flawmap.evaluate(own, tiny_data), flawmap.evaluate(parent_copy, tiny_data)
    assert found.metrics.images == before.metrics.images - 3
    assert any("3 defective images were learned from and are left out" in w for w in found.warnings)
    assert not any("learned from" in w for w in before.warnings)
    kinds = {row.defect_type for row in found.rows if row.label == "defective"}
    assert not kinds & {"chip", "crack", "scratch"}


def test_resumed_it_ends_with_the_same_bits(
    run: Path, tiny_data: Path, known_defects: Path, options: dict[str, Any], tmp_path: Path,
    stopped_at: Callable[[int], Any], said: Said,
):  # fmt: skip
    out = tmp_path / "run"
    with stopped_at(6), pytest.raises(FlawmapError, match="Stopped after step 6 of 8"):
        flawmap.train(tiny_data, out, defects=known_defects, **options)
    fewer = tmp_path / "fewer"
    shutil.copytree(known_defects / "crack", fewer / "crack")
    for other in ({"defects": fewer}, {}):
        with pytest.raises(UsageError, match="other known defects"):
            flawmap.train(tiny_data, out, resume=True, **other, **options)
    flawmap.train(tiny_data, out, resume=True, defects=known_defects, **options)
    for name in ("weights.safetensors", "model.onnx"):
        assert (out / name).read_bytes() == (run / name).read_bytes()
    assert read_manifest(out).training.defects == read_manifest(run).training.defects


def test_those_of_the_data_folder_are_used_if_asked_for(
    tiny_data: Path, options: dict[str, Any], tmp_path: Path, said: Said
):
    changes = {"precision": "bf16", "fit": "tiles"}
    flawmap.train(
        tiny_data, tmp_path / "run", use_defects=True, reporter=said.reporter, **options | changes
    )
    learned = read_manifest(tmp_path / "run").training.defects
    assert learned is not None
    assert {*learned.files} == digests(tiny_data / "test") - digests(tiny_data / "test" / "good")
    assert learned.folders == (str(tiny_data.resolve()),)
    assert said.holding("Known defects: 6 images of 6 types")
    found = flawmap.evaluate(tmp_path / "run", tiny_data)
    assert {row.label for row in found.rows} == {"good"}


@pytest.mark.slow
def test_fold_models_learn_from_them_too(
    tiny_data: Path, known_defects: Path, options: dict[str, Any], tmp_path: Path, said: Said
):
    inspector = flawmap.train(
        tiny_data, tmp_path / "run", defects=known_defects, folds=2, reporter=said.reporter,
        **options,
    )  # fmt: skip
    assert inspector.manifest.training.defects is not None
    assert inspector.manifest.calibration.folds == 2
    assert len(said.holding("Known defects: ")) == 1


def test_the_user_is_told_of_defects_that_are_not_used(
    tiny_data: Path, options: dict[str, Any], plain: str, tmp_path: Path, said: Said
):
    for method, count in ((options["method"], 1), (plain, 0)):
        with pytest.raises(UsageError, match="--folds 999 exceeds"):
            flawmap.train(
                tiny_data, tmp_path / method, reporter=said.reporter, folds=999,
                **options | {"method": method},
            )  # fmt: skip
        assert (
            len(said.holding("only test; flawmap train --use-defects would learn from them"))
            == count
        )
        said.clear()
        assert not (tmp_path / method).exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "stpm"}, "no head to learn from defects.*destseg or adps"),
        ({"method": "plain"}, "no head to learn from defects.*destseg or adps"),
        ({"use_defects": True}, "--defects or --use-defects, not both"),
        ({"defects": "absent"}, "no such folder"),
        ({"defects": "good"}, "good images only"),
    ],
)
def test_what_is_refused_before_anything_is_written(
    changes: dict[str, Any], told: str, tiny_data: Path, known_defects: Path, plain: str,
    options: dict[str, Any], tmp_path: Path,
):  # fmt: skip
    shutil.copytree(tiny_data / "train" / "good", tmp_path / "good" / "good")
    if "defects" in changes:
        changes = {"defects": tmp_path / changes["defects"]}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FlawmapError, match=told):
        flawmap.train(tiny_data, tmp_path / "run", **options | {"defects": known_defects} | changes)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_among_the_defects_is_refused(
    tiny_data: Path, known_defects: Path, options: dict[str, Any], tmp_path: Path
):
    defects = Path(shutil.copytree(known_defects, tmp_path / "defects"))
    for out in (defects, defects / "crack" / "run", tmp_path):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UsageError, match="--out"):
            flawmap.train(tiny_data, out, defects=defects, **options)
        assert sorted(tmp_path.rglob("*")) == before


def test_defects_that_are_all_good_images_leave_nothing_behind(
    tiny_data: Path, options: dict[str, Any], tmp_path: Path
):
    shutil.copytree(tiny_data / "train" / "good", tmp_path / "defects" / "dent")
    with pytest.raises(FlawmapError, match=r"10 defective images left out.*labels is wrong"):
        flawmap.train(tiny_data, tmp_path / "run", defects=tmp_path / "defects", **options)
    assert not (tmp_path / "run").exists()
