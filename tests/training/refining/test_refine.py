"""A refined run: what it learns, keeps and takes over, and how it survives being killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import flawmap
from flawmap.data.groups import names_of_parts
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest, run_id
from flawmap.training.refining import refine as module
from flawmap.training.refining.sources import _parts_of
from flawmap.training.steps.loop import Reporter
from flawmap.utils.files import digest

REST = ("manifest.json", "model.onnx", "settings.json", "training.jsonl", "weights.safetensors")


class Said(list[str]):
    @property
    def reporter(self) -> Reporter:
        return Reporter(say=self.append)

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "refined"


@pytest.fixture(scope="module")
def teach(tiny_textures: Path, taught: str) -> Callable[..., Manifest]:
    """Refine with the textures that the tests have."""

    def refine(run: Path, out: Path, **options: Any) -> Manifest:
        return flawmap.refine(run, out, textures=tiny_textures, **options).manifest

    return refine


@pytest.fixture(scope="module")
def refined(
    once: Any, parent: Path, known_defects: Path, rejected: Path, teach: Callable[..., Manifest]
) -> Path:
    """A run refined with three defects and three good parts. Do not change it."""

    def make(folder: Path) -> None:
        said = Said()
        before = content(parent)
        teach(parent, folder / "run", defects=known_defects, good=rejected, reporter=said.reporter)
        assert content(parent) == before, "the parent stays as it is"
        (folder / "said.txt").write_text(said.text, encoding="utf-8")

    return Path(once("refined", make) / "run")


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def digests(folder: Path) -> set[str]:
    return {digest(path) for path in folder.rglob("*.png") if "masks" not in path.parts}


def untimed(manifest: Manifest) -> dict[str, Any]:
    values = manifest.model_dump(mode="json")
    values["training"].pop("seconds")
    return values


def test_it_learns_what_is_new_and_every_image_keeps_its_role(
    refined: Path, parent: Path, known_defects: Path, rejected: Path
):
    before, after = read_manifest(parent), read_manifest(refined)
    new = digests(rejected)
    assert {*after.training.trained_on} == {*before.training.trained_on} | new
    assert after.calibration.images == before.calibration.images
    assert after.training.set_aside == before.training.set_aside
    assert after.training.defects is not None
    assert {*after.training.defects.files} == digests(known_defects)
    (step,) = after.training.history
    assert step.parent == run_id(before)
    assert {*step.added} == new
    assert (step.good, step.defects) == (str(rejected.resolve()), str(known_defects.resolve()))
    assert after.training.steps < before.training.steps


def test_only_the_head_is_new(refined: Path, parent: Path):
    old, new = (load_file(run / "weights.safetensors") for run in (parent, refined))
    changed = {name.partition(".")[0] for name, x in new.items() if (x != old[name]).any()}
    assert changed == {"head"}


def test_it_says_that_the_thresholds_reuse_images(refined: Path):
    calibration = read_manifest(refined).calibration
    assert calibration.reused == 1
    assert "set the thresholds of an earlier run" in calibration.statement()
    said = (refined.parent / "said.txt").read_text(encoding="utf-8")
    assert "the rates hold nearly, not exactly" in said
    assert "Known defects: 3 images of 3 types" in said


def test_nothing_but_an_inspector_is_left(refined: Path):
    assert sorted(path.name for path in refined.iterdir()) == sorted(REST)


def test_fresh_calibration_images_make_the_rates_exact(refined: Path, tiny_data: Path, out: Path):
    shutil.copytree(refined, out)
    flawmap.calibrate(out, [tiny_data / "test" / "good"])
    assert read_manifest(out).calibration.reused == 0
    assert "earlier run" not in read_manifest(out).calibration.statement()


def test_evaluate_leaves_out_what_it_learned_from(
    refined: Path, tiny_data: Path, rejected: Path, out: Path
):
    shutil.copytree(refined, out)
    found = flawmap.evaluate(out, tiny_data)
    assert "3 defective images were learned from and are left out." in found.warnings
    assert found.metrics.images == 6
    with pytest.raises(FlawmapError, match="Nothing to test on"):
        flawmap.evaluate(out, rejected)


@pytest.mark.parametrize("step", [1, 3])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    step: int, refined: Path, parent: Path, known_defects: Path, rejected: Path, out: Path,
    teach: Callable[..., Manifest], stopped_at: Callable[[int], Any], tmp_path: Path,
):  # fmt: skip
    options = {"defects": known_defects, "good": rejected}
    with stopped_at(step), pytest.raises(FlawmapError, match=f"Stopped after step {step} of 4"):
        teach(parent, out, **options)
    with pytest.raises(FlawmapError, match="not complete"):
        flawmap.Inspector.load(out)
    with pytest.raises(UsageError, match="give --resume, or another --out"):
        teach(parent, out, **options)
    with pytest.raises(UsageError, match="other good images"):
        teach(parent, out, defects=known_defects, resume=True)
    found = teach(parent, out, resume=True, **options)
    assert untimed(found) == untimed(read_manifest(refined))
    for name in ("weights.safetensors", "model.onnx"):
        assert (out / name).read_bytes() == (refined / name).read_bytes()
    assert sorted(path.name for path in out.iterdir()) == sorted(REST)


@pytest.mark.parametrize("at", ["inherited", "tidy"])
def test_killed_at_the_very_end(
    at: str, refined: Path, parent: Path, known_defects: Path, rejected: Path, out: Path,
    teach: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    options = {"defects": known_defects, "good": rejected}
    with monkeypatch.context() as patched:
        patched.setattr(module, at, die)
        with pytest.raises(Killed):
            teach(parent, out, **options)
    assert (out / "manifest.json").exists() == (at == "tidy"), "with all settings, or not at all"
    found = teach(parent, out, resume=True, **options)
    assert untimed(found) == untimed(read_manifest(refined))
    assert sorted(path.name for path in out.iterdir()) == sorted(REST)


def test_a_complete_one_is_not_refined_again(
    refined: Path, parent: Path, known_defects: Path, teach: Callable[..., Manifest], said: Said
):
    before = content(refined)
    teach(parent, refined, defects=known_defects, resume=True, reporter=said.reporter)
    assert "already complete" in said.text
    assert content(refined) == before


def test_another_run_is_not_taken_for_one_killed_at_the_end(
    parent: Path, known_defects: Path, out: Path, teach: Callable[..., Manifest]
):
    shutil.copytree(parent, out)
    (out / "checkpoints").mkdir()
    before = content(out)
    with pytest.raises(UsageError, match="not refined from this one"):
        teach(parent, out, defects=known_defects, resume=True)
    assert content(out) == before


def test_the_second_refinement_keeps_what_the_first_one_learned(
    refined: Path, known_defects: Path, rejected: Path, tiny_data: Path, out: Path, tmp_path: Path,
    teach: Callable[..., Manifest],
):  # fmt: skip
    stain = tmp_path / "more"
    shutil.copytree(tiny_data / "test" / "stain", stain / "stain")
    shutil.copytree(known_defects / "crack", stain / "crack")  # given again, without its mask
    after = teach(refined, out, defects=stain).training
    assert after.defects is not None
    assert after.defects.types == {"chip": 1, "crack": 1, "scratch": 1, "stain": 1}
    assert after.defects.folders == (str(known_defects.resolve()), str(stain.resolve()))
    first, second = after.history
    assert first == read_manifest(refined).training.history[0]
    assert second.parent == run_id(read_manifest(refined))
    assert (second.good, second.added) == (None, ())
    assert {*after.trained_on} == {*read_manifest(refined).training.trained_on}
    assert read_manifest(out).calibration.reused == 2
    assert "set the thresholds of 2 earlier runs" in read_manifest(out).calibration.statement()


def test_it_says_which_earlier_defects_are_gone(
    parent: Path, known_defects: Path, rejected: Path, tiny_data: Path, tmp_path: Path,
    teach: Callable[..., Manifest], said: Said,
):  # fmt: skip
    moved = Path(shutil.copytree(known_defects, tmp_path / "defects"))
    first = tmp_path / "first"
    teach(parent, first, defects=moved)
    shutil.rmtree(moved / "crack")
    shutil.rmtree(moved / "masks" / "crack")
    after = teach(first, tmp_path / "second", good=rejected, reporter=said.reporter).training
    assert "1 defective image that it had learned from: no longer in" in said.text
    assert after.defects is not None
    assert after.defects.types == {"chip": 1, "crack": 1, "scratch": 1}
    learned = read_manifest(first).training.defects
    assert learned is not None
    assert {*after.defects.files} == {*learned.files}, "the head goes on from one that saw all"
    shutil.rmtree(moved)
    after = teach(first, tmp_path / "third", good=rejected, reporter=said.reporter).training
    assert "3 defective images that it had learned from" in said.text
    assert after.defects == learned


def test_defects_of_data_that_moved_are_found_there(
    tiny_data: Path, rejected: Path, tmp_path: Path, options: dict[str, Any], said: Said,
    teach: Callable[..., Manifest],
):  # fmt: skip
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    flawmap.train(data, tmp_path / "run", use_defects=True, **options)
    moved = data.rename(tmp_path / "moved")
    before = read_manifest(tmp_path / "run").training.defects
    after = teach(
        tmp_path / "run", tmp_path / "new", good=rejected, data=moved, reporter=said.reporter
    ).training.defects
    assert after is not None
    assert before is not None
    assert {*after.files} == {*before.files}
    assert "no longer in" not in said.text


def test_good_parts_may_have_names_of_bad_ones(
    parent: Path, rejected: Path, tmp_path: Path, out: Path, teach: Callable[..., Manifest]
):
    """The folder is what was said to be good: `rejected`, and files of that name."""
    flat = tmp_path / "rejected"
    flat.mkdir()
    for number, path in enumerate(sorted((rejected / "good").iterdir())):
        shutil.copy(path, flat / f"{'rejected' if number else 'part'}_{number:03}.png")
    assert {*teach(parent, out, good=flat).training.history[0].added} == digests(rejected)


def test_what_a_layout_leaves_out_is_said(
    parent: Path, rejected: Path, tmp_path: Path, out: Path, teach: Callable[..., Manifest],
    said: Said,
):  # fmt: skip
    mixed = Path(shutil.copytree(rejected, tmp_path / "mixed"))
    (mixed / "unknown").mkdir()
    shutil.copy(next((rejected / "good").iterdir()), mixed / "unknown" / "x.png")
    teach(parent, out, good=mixed, reporter=said.reporter)
    assert "unknown" in said.text


def test_the_licence_of_the_teachers_weights_stays(refined: Path, parent: Path):
    licence = read_manifest(parent).teacher.licence
    assert licence != "not known"
    assert read_manifest(refined).teacher.licence == licence


def test_rates_region_and_filters_are_taken_over(
    parent_copy: Path, known_defects: Path, out: Path, teach: Callable[..., Manifest],
    tmp_path: Path,
):  # fmt: skip
    half = np.zeros((96, 96), np.uint8)
    half[:, :48] = 255
    write_png(tmp_path / "half.png", half)
    flawmap.calibrate(parent_copy, false_reject=0.2, review=0.4)
    flawmap.regions(parent_copy, roi=tmp_path / "half.png", min_area=7)
    before, after = read_manifest(parent_copy), teach(parent_copy, out, defects=known_defects)
    assert after.region == before.region
    assert after.filters == before.filters
    assert after.calibration.reject.asked == 0.2
    assert after.calibration.review.asked == 0.4
    assert after.calibration.reject.rate == before.calibration.reject.rate
    inspector = flawmap.Inspector.load(out)
    path = Path(after.training.folder, "test", "good", "000.png")
    assert not inspector.inspect(path).anomaly_map[:, 64:].any()
    assert after.calibration.images == before.calibration.images
    assert after.calibration.reused == 1


def test_a_parent_that_other_images_calibrate_keeps_them(
    parent_copy: Path, known_defects: Path, tmp_path: Path, teach: Callable[..., Manifest],
    rejected: Path, tiny_data: Path,
):  # fmt: skip
    other = Path(shutil.copytree(tiny_data / "test" / "good", tmp_path / "other"))
    flawmap.calibrate(parent_copy, [other / path.name for path in sorted(other.iterdir())])
    before = read_manifest(parent_copy).calibration
    for number in (1, 2):
        run = tmp_path / f"refined {number}"
        after = teach(parent_copy, run, defects=known_defects).calibration
        assert after.images == before.images
        assert after.places == before.places
        assert after.reused == number
        parent_copy = run


def test_images_left_out_for_their_scores_are_still_recorded(
    parent_copy: Path, known_defects: Path, out: Path, teach: Callable[..., Manifest]
):
    from flawmap.calibration.leaving_out import without
    from flawmap.inspection.bundle.saving import save_manifest

    manifest = read_manifest(parent_copy)
    gone = manifest.calibration.images[0]
    changed = without(manifest.calibration, [gone])
    save_manifest(parent_copy, manifest.model_copy(update={"calibration": changed}))
    after = teach(parent_copy, out, defects=known_defects).calibration
    assert after.left_out == (gone,)
    assert gone not in after.images


def test_exports_are_said_to_be_made_again(
    parent_copy: Path, known_defects: Path, out: Path, teach: Callable[..., Manifest], said: Said
):
    from flawmap.inspection.bundle.saving import save_manifest

    manifest = read_manifest(parent_copy)
    measured = {"images": 1, "map_max": 0, "map_mean": 0, "score_max": 0, "score_mean": 0}
    export = {"precision": "bf16", "files": {}, "flips": 0, "p_value_mean": 0} | measured
    values = manifest.model_dump(mode="json")
    values["exports"] = {"onnxruntime-bf16": export | {"within_limits": True}}
    save_manifest(parent_copy, Manifest.model_validate(values))
    assert teach(parent_copy, out, defects=known_defects, reporter=said.reporter).exports == {}
    assert "Its parent was exported, too (onnxruntime-bf16): flawmap export" in said.text


def test_moved_data_are_found_with_data(
    parent_copy: Path, known_defects: Path, out: Path, tiny_data: Path, tmp_path: Path,
    teach: Callable[..., Manifest],
):  # fmt: skip
    from flawmap.inspection.bundle.manifest import write_manifest

    manifest = read_manifest(parent_copy)
    lost = manifest.training.model_copy(update={"folder": str(tmp_path / "gone")})
    write_manifest(parent_copy, manifest.model_copy(update={"training": lost}))
    with pytest.raises(UsageError, match=r"no longer in .*gone: give --data DIR"):
        teach(parent_copy, out, defects=known_defects)
    fewer = Path(shutil.copytree(tiny_data, tmp_path / "fewer"))
    (fewer / "train" / "good" / "000.png").unlink()
    with pytest.raises(UsageError, match=r"of the 5 images that it was .* are in .*fewer"):
        teach(parent_copy, out, defects=known_defects, data=fewer)
    assert not out.exists()
    found = teach(parent_copy, out, defects=known_defects, data=tiny_data)
    assert found.training.folder == str(tiny_data.resolve())
    assert found.calibration.images == manifest.calibration.images


def test_good_images_with_a_role_keep_it(
    parent: Path, rejected: Path, tiny_data: Path, out: Path, tmp_path: Path,
    teach: Callable[..., Manifest], said: Said,
):  # fmt: skip
    mixed = Path(shutil.copytree(rejected, tmp_path / "mixed"))
    for path in (tiny_data / "train" / "good").iterdir():
        shutil.copy(path, mixed / "good" / f"again {path.name}")
    found = teach(parent, out, good=mixed, reporter=said.reporter)
    assert f"10 images of {mixed} had a role in it already and keep it." in said.text
    assert {*found.training.history[0].added} == digests(rejected)
    assert not {*found.training.trained_on} & {*found.calibration.images}
    assert found.training.defects is None


def test_shots_of_a_part_that_calibrates_are_not_trained_on(
    parent_copy: Path, rejected: Path, tmp_path: Path, out: Path, teach: Callable[..., Manifest],
    said: Said, tiny_data: Path,
):  # fmt: skip
    from flawmap.inspection.bundle.manifest import write_manifest

    manifest = read_manifest(parent_copy)
    grouped = manifest.training.model_copy(update={"group": r"(\d+)[^/]*$"})
    write_manifest(parent_copy, manifest.model_copy(update={"training": grouped}))
    names = {digest(p): p.stem for p in (tiny_data / "train" / "good").iterdir()}
    shots = tmp_path / "shots" / "good"
    shots.mkdir(parents=True)
    first, second, third = sorted((rejected / "good").iterdir())
    shutil.copy(first, shots / f"{names[manifest.calibration.images[0]]}_again.png")
    shutil.copy(second, shots / "900.png")
    shutil.copy(third, shots / f"{names[manifest.training.trained_on[0]]}_again.png")
    found = teach(parent_copy, out, good=tmp_path / "shots", reporter=said.reporter)
    assert {*found.training.history[0].added} == {digest(second), digest(third)}
    assert "1 image of" in said.text
    assert "they show parts that calibrate" in said.text
    assert "identifies no part" not in said.text


@pytest.mark.parametrize("rule", ["folder", "1", r"(SN\d+)"])
def test_parts_are_compared_below_each_folder(rule: str, tmp_path: Path):
    held = tmp_path / "data" / "train" / "good" / "SN1" / "a.png"
    added = [tmp_path / "rejected" / name / "b.png" for name in ("SN1", "SN2", "")]
    calibrate = _parts_of([held], [tmp_path / "data"], rule)
    parts = names_of_parts(added, tmp_path / "rejected", rule)
    assert [part in calibrate for part in parts] == [True, False, False]
    assert parts[2] is None


def test_a_rule_that_does_not_fit_is_said(
    parent_copy: Path, rejected: Path, out: Path, teach: Callable[..., Manifest], said: Said
):
    from flawmap.inspection.bundle.manifest import write_manifest

    manifest = read_manifest(parent_copy)
    grouped = manifest.training.model_copy(update={"group": r"^train/good/(\d+)"})
    write_manifest(parent_copy, manifest.model_copy(update={"training": grouped}))
    teach(parent_copy, out, good=rejected, reporter=said.reporter)
    assert "identifies no part for 3 images of" in said.text
