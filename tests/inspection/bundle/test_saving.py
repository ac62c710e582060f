"""The metadata of a run's ONNX files: they repeat the manifest, whatever verb changed it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.description import describe
from flawmap.inspection.bundle.manifest import (
    GRAPH,
    Manifest,
    Preprocessing,
    read_manifest,
)
from flawmap.inspection.bundle.onnx_metadata import read_metadata, without_metadata
from flawmap.inspection.bundle.saving import save_manifest

SOURCE = Path(flawmap.__file__).parent


def metadata(run: Path, name: str = GRAPH) -> dict[str, str]:
    """As a program finds it that knows ONNX Runtime alone."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(run / name, options)
    found = session.get_modelmeta().custom_metadata_map
    return {key.removeprefix("flawmap."): value for key, value in found.items()}


def thresholds(run: Path) -> tuple[float, float, float]:
    found = metadata(run)
    review, reject, pixel = (float(found[f"threshold.{x}"]) for x in ("review", "reject", "pixel"))
    return review, reject, pixel


def of(manifest: Manifest) -> tuple[float, float, float]:
    limits = manifest.calibration
    return limits.review.value, limits.reject.value, limits.pixel.value


def test_a_trained_network_says_how_to_use_it(tiny_run: Path) -> None:
    found, manifest = metadata(tiny_run), read_manifest(tiny_run)
    assert thresholds(tiny_run) == of(manifest)
    assert found["digest"] == manifest.files[GRAPH]
    plain = without_metadata((tiny_run / GRAPH).read_bytes())
    assert found["digest"] == hashlib.sha256(plain).hexdigest()
    assert found["version"] == flawmap.__version__
    assert found["statement"] == manifest.calibration.statement()
    assert found["requires"] == ""
    shown = {key: found[f"input.{key}"] for key in ("name", "layout", "type", "channels")}
    assert shown == {"name": "images", "layout": "NHWC", "type": "uint8", "channels": "RGB"}
    assert (found["input.height"], found["input.width"]) == ("128", "128")


def test_new_thresholds_reach_the_network_and_its_digest_stays(run_copy: Path) -> None:
    before = read_manifest(run_copy)
    flawmap.calibrate(run_copy, false_reject=0.4, review=0.6)
    after = read_manifest(run_copy)
    assert thresholds(run_copy) == of(after) != of(before)
    assert after.files == before.files
    flawmap.Inspector.load(run_copy)


def test_regions_and_filters_are_requirements(run_copy: Path, tiny_data: Path) -> None:
    flawmap.regions(run_copy, min_area=4)
    found = metadata(run_copy)
    assert found["requires"] == "filters"
    assert json.loads(found["filters"])["min_area"] == 4
    mask = np.zeros((128, 128), np.uint8)
    mask[:64] = 255
    write_png(run_copy.parent / "roi.png", mask)
    flawmap.regions(run_copy, roi=run_copy.parent / "roi.png", images=[tiny_data / "test" / "good"])
    found = metadata(run_copy)
    assert found["requires"] == "region,filters"
    assert (run_copy / found["region.file"]).is_file()
    assert thresholds(run_copy) == of(read_manifest(run_copy))
    flawmap.regions(run_copy, everywhere=True, images=[tiny_data / "test" / "good"], min_area=0)
    assert metadata(run_copy)["requires"] == ""


@pytest.mark.parametrize("fit", ["letterbox", "tiles"])
def test_other_fits_are_requirements(tiny_run: Path, fit: str) -> None:
    manifest = read_manifest(tiny_run)
    before = Preprocessing(size=(256, 128), fit=fit, overlap=32 if fit == "tiles" else 0)  # type: ignore[arg-type]
    changed = manifest.model_copy(update={"preprocessing": before})
    found = describe(changed, changed.calibration, precision="float32", digest="0")
    assert found["flawmap.requires"] == found["flawmap.fit"] == fit
    assert (found["flawmap.input.height"], found["flawmap.input.width"]) == ("256", "128")


def test_deep_images_are_a_requirement(tiny_run: Path) -> None:
    manifest = read_manifest(tiny_run)
    deep = manifest.preprocessing.model_copy(update={"white_level": 4095})
    changed = manifest.model_copy(update={"preprocessing": deep})
    found = describe(changed, changed.calibration, precision="float32", digest="0")
    assert (found["flawmap.requires"], found["flawmap.white_level"]) == ("white_level", "4095")


def test_every_entry_is_explained(run_copy: Path) -> None:
    flawmap.regions(run_copy, min_area=4)
    manifest = read_manifest(run_copy)
    deep = manifest.preprocessing.model_copy(update={"white_level": 4095})
    changed = manifest.model_copy(update={"preprocessing": deep, "region": "0" * 64})
    found = describe(changed, changed.calibration, precision="float32", digest="0")
    page = Path(__file__).parents[3] / "docs" / "other-languages.md"
    rows = [line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")]  # fmt: skip
    explained = {f"flawmap.{key}" for row in rows for key in re.findall(r"`([a-z0-9_.]+)`", row)}
    assert set(found) == explained


def test_a_crash_between_the_files_leaves_a_run_that_works(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run_copy / "manifest.json").read_bytes()
    rename = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target.name == "manifest.json":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            flawmap.calibrate(run_copy, false_reject=0.4, review=0.6)
    assert (run_copy / "manifest.json").read_bytes() == before
    flawmap.Inspector.load(run_copy)
    flawmap.calibrate(run_copy)
    assert thresholds(run_copy) == of(read_manifest(run_copy))


def test_a_full_disk_leaves_the_run_as_it_was(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run_copy.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(FlawmapError, match="Free some space"):
            flawmap.calibrate(run_copy, false_reject=0.4, review=0.6)
    assert {path: path.read_bytes() for path in run_copy.iterdir()} == before


def test_a_network_of_another_run_is_not_given_thresholds(run_copy: Path) -> None:
    other = (run_copy / GRAPH).read_bytes() + b"\x1a\x01x"  # another producer's version
    (run_copy / GRAPH).unlink()
    (run_copy / GRAPH).write_bytes(other)
    with pytest.raises(FlawmapError, match="not the model that its manifest names"):
        flawmap.calibrate(run_copy)
    assert (run_copy / GRAPH).read_bytes() == other


def test_without_its_network_a_run_still_takes_thresholds(run_copy: Path) -> None:
    (run_copy / GRAPH).unlink()
    save_manifest(run_copy, read_manifest(run_copy))
    assert not (run_copy / GRAPH).exists()


def test_every_verb_saves_the_manifest_with_the_metadata() -> None:
    alone = [path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")
             if re.search(r"\bwrite_manifest\(", path.read_text(encoding="utf-8"))]  # fmt: skip
    assert alone == ["inspection/bundle/manifest.py"], "use saving.save_manifest"


def test_metadata_in_the_file_are_those_described(tiny_run: Path) -> None:
    manifest = read_manifest(tiny_run)
    expected = describe(
        manifest, manifest.calibration, precision="float32", digest=manifest.files[GRAPH]
    )
    assert read_metadata((tiny_run / GRAPH).read_bytes()) == expected
