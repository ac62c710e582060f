"""What killed verbs leave in a run goes with the next verb that writes it; a user's files stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.calibration import regions as regions_verb
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest, read_manifest
from flawmap.inspection.decision import load_region
from flawmap.inspection.roi.mask import Region


def test_the_next_verb_removes_them(run_copy: Path) -> None:
    ours = (
        ".flawmap-12.0123abcd.tmp",
        ".export-a1b2c3d4/model.xml",
        "region-0123456789ab.png",
        "exports/onnx/model.int8.onnx",
        "exports/openvino/model-0123456789ab.bin",
    )
    users = (".export-of-mine/a", "region-mine.png", "exports/onnx/notes.txt", "model.xml")
    for name in (*ours, *users):
        (run_copy / name).parent.mkdir(parents=True, exist_ok=True)
        (run_copy / name).write_bytes(b"x")
    flawmap.calibrate(run_copy, false_reject=0.3)
    assert not [name for name in ours if (run_copy / name).exists()]
    assert not (run_copy / ".export-a1b2c3d4").exists()
    assert not [name for name in users if not (run_copy / name).exists()]
    flawmap.Inspector.load(run_copy)


def test_a_region_set_by_a_killed_verb(run_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before its manifest it leaves no region; the region of the manifest stays."""
    half = np.zeros((96, 96), np.uint8)
    half[:, :48] = 255
    drawings = run_copy.parent / "left.png", run_copy.parent / "right.png"
    write_png(drawings[0], half)
    write_png(drawings[1], 255 - half)
    flawmap.regions(run_copy, roi=drawings[0])
    with monkeypatch.context() as killed:
        killed.setattr(regions_verb, "save_manifest", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            flawmap.regions(run_copy, roi=drawings[1])
    assert len(list(run_copy.glob("region-*.png"))) == 2
    flawmap.calibrate(run_copy, false_reject=0.3)
    (left,) = run_copy.glob("region-*.png")
    assert left.name == f"region-{str(read_manifest(run_copy).region)[:12]}.png"
    flawmap.Inspector.load(run_copy)


def test_a_run_that_cannot_be_written_is_told_before_any_image_is_read(
    run_copy: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise FlawmapError(f"Cannot write {path}: Read-only file system.")

    monkeypatch.setattr("flawmap.inspection.bundle.manifest.check_writable", refuse)
    monkeypatch.setattr("flawmap.calibration.recalibrate.inspect_files", None)
    for verb in (
        lambda: flawmap.calibrate(run_copy, [tiny_data / "test" / "good"]),
        lambda: flawmap.regions(run_copy, everywhere=True),
        lambda: flawmap.export(run_copy, "onnx"),
    ):
        with pytest.raises(FlawmapError, match="Read-only"):
            verb()


def test_a_run_that_changes_while_it_is_loaded(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The region of the manifest that was read first is gone when it is looked for."""
    half = np.zeros((96, 96), np.uint8)
    half[:, :48] = 255
    write_png(run_copy.parent / "left.png", half)
    flawmap.regions(run_copy, roi=run_copy.parent / "left.png")
    opened = []

    def changing_load(folder: Path, manifest: Manifest) -> Region | None:
        if not opened:
            opened.append(manifest)
            flawmap.regions(run_copy, everywhere=True)
        return load_region(folder, manifest)

    monkeypatch.setattr("flawmap.inspection.inspector.load_region", changing_load)
    inspector = flawmap.Inspector.load(run_copy)
    assert inspector.region is None
    assert inspector.manifest.region is None
