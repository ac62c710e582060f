"""Recall on known defects: which images count, and in which folders they may lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import flawmap
from flawmap.calibration import calibrate
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import LearnedDefects, read_manifest, write_manifest
from flawmap.utils.files import digest


def defective(tiny_data: Path) -> list[Path]:
    return [path for path in sorted(tiny_data.glob("test/*/*.png")) if path.parent.name != "good"]


def learned_from(run: Path, *images: Path) -> None:
    """Record in the manifest that the run learned from these defective images."""
    files = tuple(digest(path) for path in images)
    learned = LearnedDefects(folders=(), types={"stain": len(files)}, without_mask=0, files=files)
    manifest = read_manifest(run)
    training = manifest.training.model_copy(update={"defects": learned})
    write_manifest(run, manifest.model_copy(update={"training": training}))


def counted(run: Path, defects: Path | list[Path]) -> tuple[int, tuple[str, ...]]:
    """Number of images that the recall is about, and the warnings."""
    found = flawmap.calibrate(run, defects=defects)
    assert found.rejected is not None
    assert found.noticed is not None
    assert found.noticed.total == found.rejected.total
    return found.rejected.total, found.warnings


def test_images_that_the_run_learned_from_do_not_count(run_copy: Path, tiny_data: Path):
    images = defective(tiny_data)
    learned_from(run_copy, *images[:2])
    assert counted(run_copy, images) == (
        len(images) - 2,
        ("2 defective images left out of the recall: the inspector learned from them.",),
    )


def test_without_others_there_is_no_recall_and_nothing_changes(run_copy: Path, tiny_data: Path):
    images = defective(tiny_data)
    learned_from(run_copy, *images)
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(FlawmapError, match="learned from all of the known defects"):
        flawmap.calibrate(run_copy, tiny_data / "test" / "good", defects=images)
    assert (run_copy / "manifest.json").read_bytes() == before


def test_an_image_counts_once(run_copy: Path, tiny_data: Path, tmp_path: Path):
    image = defective(tiny_data)[0]
    copy = shutil.copy(image, tmp_path / "copy.png")
    assert counted(run_copy, [image, image, copy]) == (
        1,
        ("2 defective images left out of the recall: the same as another.",),
    )


def test_unreadable_images_are_named(run_copy: Path, tiny_data: Path, tmp_path: Path):
    folder = tmp_path / "known"
    shutil.copytree(tiny_data / "test" / "crack", folder)
    (folder / "junk.png").write_bytes(b"no image")
    (folder / "gone.png").symlink_to(tmp_path / "nothing")
    total, (warning,) = counted(run_copy, folder)
    assert total == 1
    assert warning.startswith("2 defective images left out of the recall: not inspected: ")
    assert "junk.png" in warning
    assert "gone.png" in warning
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "junk.png").write_bytes(b"no image")
    with pytest.raises(
        FlawmapError, match=r"None of the known defects could be inspected\. .*junk"
    ):
        flawmap.calibrate(run_copy, defects=folder)


@pytest.mark.parametrize(
    "names",
    [
        ("NG_000.png", "NG_001.png"),
        ("scratch_000.png", "defect_004.png"),
        ("scratch/0.png", "NG_1.png"),
        ("NG/0.png", "NG/dent/1.png"),
        ("test/scratch/0.png", "test/dent/1.png"),
    ],
)
def test_folders_of_known_defects(
    run_copy: Path, tiny_data: Path, tmp_path: Path, names: tuple[str, ...]
):
    for name, image in zip(names, defective(tiny_data), strict=False):
        (tmp_path / "known" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, tmp_path / "known" / name)
    assert counted(run_copy, tmp_path / "known") == (2, ())


def test_masks_are_no_defects(run_copy: Path, tiny_data: Path, tmp_path: Path):
    known = tmp_path / "known"
    for kind in ("crack", "stain"):
        shutil.copytree(tiny_data / "test" / kind, known / kind)
        shutil.copytree(tiny_data / "ground_truth" / kind, known / "masks" / kind)
    assert counted(run_copy, known) == (2, ())


def test_a_whole_data_set_counts_its_defective_images_alone(
    run_copy: Path, tiny_data: Path, caplog: pytest.LogCaptureFixture
):
    assert counted(run_copy, tiny_data) == (len(defective(tiny_data)), ())
    assert "left out: they are not defective" in caplog.text


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ((), UsageError, "No such image or folder"),
        (("readme.txt",), FlawmapError, "no images in it; give the folder that holds the defect"),
        (("good/0.png",), FlawmapError, "holds good images only"),
        (("screw/train/good/0.png", "nut/test/dent/1.png"), FlawmapError, "a folder of them"),
    ],
)
def test_wrong_folders_are_refused_before_any_image_is_inspected(
    run_copy: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    error: type[FlawmapError],
    message: str,
):
    for name in names:
        (tmp_path / "known" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(defective(tiny_data)[0], tmp_path / "known" / name)
    monkeypatch.setattr(calibrate, "Recalibrator", None)
    with pytest.raises(error, match=message):
        flawmap.calibrate(run_copy, tiny_data / "test" / "good", defects=tmp_path / "known")
