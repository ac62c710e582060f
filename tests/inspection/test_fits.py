"""One graph, three ways to fit: every verb sees a photograph as the inspector does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError
from flawmap.data.image_io.images import ImageError, read_image, resize_image, write_png
from flawmap.data.resize import Framing
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.inspection.pipeline import inspect_files
from flawmap.utils.files import digest

PHOTOGRAPH = (100, 200)  # lower than a tile, wider than one
MAPS = {"squash": (128, 128), "letterbox": (64, 128), "tiles": PHOTOGRAPH}
FITS = tuple(MAPS)


@pytest.fixture
def run(run_copy: Path, request: pytest.FixtureRequest) -> Path:
    """The tiny run, told to fit otherwise: its graph takes windows from anywhere."""
    path = run_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["preprocessing"]["fit"] = request.param
    manifest["preprocessing"]["overlap"] = 32 * (request.param == "tiles")
    for name in ("pixel", "reject", "review"):  # so that something is marked
        manifest["calibration"][name]["value"] *= 0.5
    path.write_text(json.dumps(manifest))
    return run_copy


@pytest.fixture
def parts(tmp_path: Path, tiny_data: Path) -> Path:
    """A dataset of large photographs: six times the same part, one with a scratch and its mask."""
    part = read_image(next((tiny_data / "train" / "good").glob("*.png")))
    whole = np.tile(part, (2, 3, 1))[: PHOTOGRAPH[0], : PHOTOGRAPH[1]]
    folder = tmp_path / "parts"
    for name in ("good", "defective", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        lighter = (whole.astype(int) + number).clip(0, 255).astype(np.uint8)
        write_png(folder / "good" / f"{number}.png", lighter)
    mask = np.zeros(PHOTOGRAPH, np.uint8)
    mask[60:70, 150:170] = 255
    write_png(folder / "masks" / "bad.png", mask)
    write_png(folder / "defective" / "bad.png", np.where(mask[..., None], 255 - whole, whole))
    return folder


def left_of(folder: Path, column: int) -> Path:
    mask = np.zeros(PHOTOGRAPH, np.uint8)
    mask[:, :column] = 255
    write_png(path := folder / "left.png", mask)
    return path


@pytest.mark.parametrize("run", FITS, indirect=True)
def test_maps_defects_and_verdicts(run, parts):
    inspector = flawmap.Inspector.load(run, threads=1)
    path = parts / "defective" / "bad.png"
    seen = inspector.inspect(path)
    assert seen.anomaly_map.shape == seen.mask.shape == MAPS[inspector.framing.fit]
    for x, y, width, height in (defect.box for defect in seen.defects):
        assert min(x, y) >= 0
        assert x + width <= PHOTOGRAPH[1]
        assert y + height <= PHOTOGRAPH[0]
    image = read_image(path)
    (frame,) = inspector.inspect_frames([image[..., ::-1]], colour="BGR")
    (file,) = inspect_files(inspector, [path], batch=4)
    for other in (frame, file):
        np.testing.assert_allclose(other.anomaly_map, seen.anomaly_map, atol=1e-5)
        assert other.score == pytest.approx(seen.score, abs=1e-5)


@pytest.mark.parametrize("run", FITS, indirect=True)
def test_what_fits_one_window_is_the_graph_s_own_bit_for_bit(run):
    inspector = flawmap.Inspector.load(run, threads=1)
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    maps, scores = inspector.backend(image[None])
    seen = inspector.inspect(image)
    np.testing.assert_array_equal(seen.raw_map, maps[0])
    assert seen.raw_score == float(scores[0])


@pytest.mark.parametrize("run", FITS, indirect=True)
def test_region_calibration_and_stored_maps(run, parts, tmp_path):
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run, [parts / "defective"], out=tmp_path / "maps", json_file=lines)
    flawmap.regions(run, roi=left_of(tmp_path, 100), images=[parts / "good"])
    assert len(read_manifest(run).calibration.scores) == 6
    inspector = flawmap.Inspector.load(run, threads=1)
    seen = inspector.inspect(parts / "defective" / "bad.png")
    middle = seen.anomaly_map.shape[1] // 2
    np.testing.assert_array_equal(seen.anomaly_map[:, :middle], seen.raw_map[:, :middle])
    assert not seen.anomaly_map[:, middle:].any()
    assert seen.score <= seen.anomaly_map.max()
    (judged,) = flawmap.judge(run, lines)
    assert judged.score == pytest.approx(seen.score, rel=1e-6)
    assert judged.verdict == seen.verdict
    stored = json.loads(lines.read_text())
    stored["map"]["size"] = [100, 150]
    lines.write_text(json.dumps(stored))
    if read_manifest(run).preprocessing.fit == "tiles":
        with pytest.raises(FlawmapError, match="not a map of this run"):
            flawmap.judge(run, lines)


@pytest.fixture
def turned(parts: Path, tmp_path: Path) -> Path:
    """The flawed part as a camera sees it that was turned by a quarter."""
    folder = tmp_path / "turned"
    folder.mkdir()
    write_png(folder / "bad.png", np.rot90(read_image(parts / "defective" / "bad.png")).copy())
    return folder / "bad.png"


@pytest.mark.parametrize("run", ["letterbox", "tiles"], indirect=True)
def test_images_of_another_shape_than_the_region_get_no_verdict(run, parts, turned, tmp_path):
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run, [turned], out=tmp_path / "maps", json_file=lines)
    flawmap.regions(run, roi=left_of(tmp_path, 100), images=[parts / "good"])
    said = r"bad\.png: 100 x 200 pixels, .* images shaped like 200 x 100 pixels: .*flawmap regions"
    inspector = flawmap.Inspector.load(run, threads=1)
    with pytest.raises(ImageError, match=said):
        inspector.inspect(turned)
    with pytest.raises(ImageError, match="the image data: 100 x 200 pixels"):
        list(inspector.inspect_frames([read_image(turned)], colour="RGB"))
    good = parts / "good" / "0.png"
    for on in ("threads", "local"):
        kept, failed = flawmap.predict(run, [good, turned], on=on)
        assert kept.verdict is not None
        assert re.search(said, failed.error or "")
        assert failed.image == digest(turned)
    (judged,) = flawmap.judge(run, lines)
    assert judged.error == failed.error
    half = resize_image(read_image(good), (50, 100))
    assert inspector.inspect(half).verdict, "the same shape at another scale"


@pytest.mark.parametrize("run", ["tiles"], indirect=True)
def test_measurements_leave_out_images_of_another_shape(run, parts, turned):
    flawmap.regions(run, roi=left_of(turned.parent, 100), images=[parts / "good"])
    shutil.copy(turned, parts / "defective" / "turned.png")
    found = flawmap.evaluate(run, parts)
    assert found.metrics.images == 7
    assert any("1 image left out, not inspected: " in line for line in found.warnings)
    with pytest.raises(FlawmapError, match=r"No good image could be inspected.*100 x 200 pixels"):
        flawmap.calibrate(run, [turned])
    with pytest.raises(
        FlawmapError, match=r"None of the known defects could be .*100 x 200 pixels"
    ):
        flawmap.calibrate(run, defects=[turned])


@pytest.mark.parametrize("run", ["squash"], indirect=True)
def test_squashed_images_may_have_any_shape(run, parts, turned, tmp_path):
    flawmap.regions(run, roi=left_of(tmp_path, 100), images=[parts / "good"])
    assert flawmap.Inspector.load(run, threads=1).inspect(turned).verdict


@pytest.mark.parametrize("run", ["letterbox", "tiles"], indirect=True)
def test_figures_and_report_are_of_the_photograph(run, parts, tmp_path):
    found = flawmap.evaluate(run, parts, report=tmp_path / "report.html")
    assert found.metrics.instances == 1
    assert found.metrics.images == 7
    assert (tmp_path / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("run", ["tiles"], indirect=True)
def test_pictures_have_the_photograph_s_size(run, parts, tmp_path):
    flawmap.predict(run, [parts / "defective"], out=tmp_path)
    assert read_image(tmp_path / "bad_overlay.png").shape[:2] == PHOTOGRAPH
    assert np.load(tmp_path / "bad_map.npy").shape == PHOTOGRAPH


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fit": "tiles", "overlap": 65}, "overlap 65 .* give 0 to 64"),
        ({"fit": "squash", "overlap": 4}, "only tiles can overlap"),
        ({"fit": "crop"}, "preprocessing.fit"),
    ],
)
def test_a_manifest_whose_layout_makes_no_sense(run_copy, change, told):
    path = run_copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["preprocessing"] |= change
    path.write_text(json.dumps(manifest))
    with pytest.raises(FlawmapError, match=told):
        read_manifest(run_copy)


@pytest.mark.parametrize("run", FITS, indirect=True)
def test_the_manifest_holds_the_layout(run):
    framing = read_manifest(run).preprocessing.framing
    overlap = 32 if framing.fit == "tiles" else 0
    assert framing == Framing((128, 128), framing.fit, overlap)
