"""Of a run trained with --group, the promise is about parts wherever images set thresholds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import flawmap
from flawmap.calibration.parts import shots_of
from flawmap.data.image_io.images import read_image, write_png
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import read_manifest, write_manifest
from flawmap.utils.files import digest


@pytest.fixture
def shots(tiny_data: Path, tmp_path: Path) -> Path:
    """Three parts in a layout with test images: two shots of each of the first two."""
    folder = tmp_path / "shots"
    shutil.copytree(tiny_data / "test" / "stain", folder / "test" / "stain")
    (folder / "test" / "good").mkdir(parents=True)
    for number, path in enumerate(sorted((tiny_data / "test" / "good").iterdir())):
        image = read_image(path)
        for shot in range(1 if number == 2 else 2):
            write_png(folder / "test" / "good" / f"part{number}_{shot}.png", image + shot)
    return folder


def grouped(run: Path, rule: str) -> Path:
    manifest = read_manifest(run)
    training = manifest.training.model_copy(update={"group": rule, "groups": 9})
    write_manifest(run, manifest.model_copy(update={"training": training}))
    return run


def test_one_shot_of_each_part_calibrates_and_no_other_is_judged(
    run_copy: Path, shots: Path
) -> None:
    found = flawmap.calibrate(grouped(run_copy, r"part\d"), shots)
    good = shots / "test" / "good"
    first = [digest(good / f"part{number}_0.png") for number in range(3)]
    assert found.calibration.images == tuple(first)
    assert any(line.startswith("2 images left out: by --group") for line in found.warnings)
    measured = flawmap.evaluate(run_copy, shots)
    assert all(row.calibrated for row in measured.rows if row.label == "good")
    assert "2 good images show parts of which other shots calibrated" in measured.warnings[-1]
    with pytest.raises(FlawmapError, match="No good image is left"):
        flawmap.calibrate(run_copy, good / "part0_1.png", add=True)


def test_without_group_every_image_is_a_part(run_copy: Path, shots: Path) -> None:
    assert len(flawmap.calibrate(run_copy, shots).calibration.images) == 5
    flawmap.calibrate(run_copy, shots / "test" / "good" / "part0_0.png")
    found = flawmap.evaluate(run_copy, shots)
    assert sum(row.calibrated for row in found.rows) == 1


@pytest.mark.parametrize("rule", ["folder", "serial"])
def test_a_rule_that_says_nothing_of_other_images_is_told(
    run_copy: Path, shots: Path, rule: str
) -> None:
    found = flawmap.calibrate(grouped(run_copy, rule), shots)
    assert len(found.calibration.images) == 5
    assert any("not in these images: each image counts" in line for line in found.warnings)
    assert sum(row.calibrated for row in flawmap.evaluate(run_copy, shots).rows) == 5


def test_shots_of_a_part() -> None:
    paths = [Path(f"good/{name}.png") for name in ("p1_a", "p1_b", "p2_a", "x")]
    assert shots_of(paths, [True, False, False, False], r"p\d") == [True, True, False, False]
    assert shots_of(paths, [False, False, False, True], r"p\d") == [False, False, False, True]
    assert shots_of(paths, [True, False, False, False], None) == [True, False, False, False]
    assert shots_of([], [], "p") == []
