"""Thresholds from images inspected again: whether they set those of an earlier run, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.inspection.bundle.manifest import Manifest, read_manifest, write_manifest


def reuse(run: Path, **changes: object) -> None:
    """Record that the calibration images set the thresholds of an earlier run, too."""
    manifest = read_manifest(run)
    calibration = manifest.calibration.model_copy(update={"reused": 1, **changes})
    write_manifest(run, manifest.model_copy(update={"calibration": calibration}))


def reused(manifest: Manifest) -> int:
    calibration = manifest.calibration
    assert ("hold nearly, not exactly" in calibration.statement()) == (calibration.reused > 0)
    return calibration.reused


@pytest.mark.parametrize(
    ("folder", "add", "runs"),
    [("train", False, 1), ("", False, 1), ("test/good", False, 0), ("test/good", True, 1)],
)
def test_other_images_alone_make_the_rates_exact(
    run_copy: Path, tiny_data: Path, folder: str, add: bool, runs: int
):
    reuse(run_copy)
    flawmap.calibrate(run_copy, tiny_data / folder, add=add)
    assert reused(read_manifest(run_copy)) == runs


def test_outliers_left_out_before_are_no_other_images(run_copy: Path, tiny_data: Path):
    stored = read_manifest(run_copy).calibration
    first = {"scores": stored.scores[:1], "peaks": stored.peaks[:1], "images": ("0" * 64,)}
    reuse(run_copy, left_out=stored.images, **first)
    flawmap.calibrate(run_copy, tiny_data / "train")
    assert reused(read_manifest(run_copy)) == 1


@pytest.mark.parametrize(("folder", "runs"), [("train", 1), ("test/good", 0), (None, 1)])
def test_a_region_does_not_make_the_images_other_ones(
    run_copy: Path, tiny_data: Path, tmp_path: Path, folder: str | None, runs: int
):
    reuse(run_copy)
    write_png(tmp_path / "left.png", np.repeat([255, 0], 48).astype(np.uint8)[None].repeat(96, 0))
    images = () if folder is None else [tiny_data / folder]
    assert reused(flawmap.regions(run_copy, roi=tmp_path / "left.png", images=images)) == runs
