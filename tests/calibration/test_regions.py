"""Setting where to look and what counts, and judging stored maps by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import flawmap
from flawmap.data.image_io.images import write_png
from flawmap.data.masks.decoding import read_mask
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Export, read_manifest, run_id, write_manifest
from flawmap.inspection.output.lines import read_lines
from inspection.records import make_record


@pytest.fixture
def left_half(tmp_path: Path) -> Path:
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :48] = 255
    write_png(tmp_path / "left.png", mask)
    return tmp_path / "left.png"


def test_a_region_masks_map_and_score_and_calibrates_anew(run_copy, tiny_data, left_half):
    before = flawmap.Inspector.load(run_copy)
    flawmap.regions(run_copy, roi=left_half)
    inspector = flawmap.Inspector.load(run_copy)
    calibration = inspector.manifest.calibration
    assert sorted(calibration.images) == sorted(before.manifest.calibration.images)
    path = next((tiny_data / "test" / "good").glob("*.png"))
    seen, whole = inspector.inspect(path), before.inspect(path)
    assert not seen.anomaly_map[:, 64:].any()
    np.testing.assert_array_equal(seen.anomaly_map[:, :64], whole.anomaly_map[:, :64])
    np.testing.assert_array_equal(seen.raw_map, whole.anomaly_map)
    assert seen.raw_score == whole.score
    top = int(inspector.manifest.configuration["top_pixels"])
    expected = np.sort(whole.anomaly_map[:, :64].ravel())[-top:].mean()
    assert seen.score == pytest.approx(float(expected), rel=1e-5)
    flawmap.calibrate(run_copy, [path])
    assert read_manifest(run_copy).calibration.scores == pytest.approx([seen.score])


def test_everywhere_is_as_before(run_copy, left_half):
    before = read_manifest(run_copy)
    flawmap.regions(run_copy, roi=left_half)
    (picture,) = run_copy.glob("region-*.png")
    flawmap.regions(run_copy, everywhere=True)
    after = read_manifest(run_copy)
    assert after.region is None
    assert sorted(after.calibration.scores) == pytest.approx(sorted(before.calibration.scores))
    assert not picture.exists()


def test_another_region_takes_the_place_of_the_first(run_copy, left_half):
    flawmap.regions(run_copy, roi=left_half)
    flawmap.regions(run_copy, ignore=left_half)
    assert len(list(run_copy.glob("region-*.png"))) == 1
    inspector = flawmap.Inspector.load(run_copy)
    assert inspector.region is not None
    assert not inspector.region.mask[:, :64].any()
    assert inspector.region.mask[:, 64:].all()


def test_calibration_images_gone(run_copy, tiny_data, left_half):
    manifest = json.loads((run_copy / "manifest.json").read_text())
    manifest["training"]["folder"] = "/nowhere"
    (run_copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FlawmapError, match="--images"):
        flawmap.regions(run_copy, roi=left_half)
    assert not list(run_copy.glob("region-*.png"))
    found = flawmap.regions(run_copy, roi=left_half, images=[tiny_data / "test" / "good"])
    assert len(found.calibration.scores) == 3


def test_what_new_images_leave_out_is_said(run_copy, tiny_data, left_half):
    said: list[str] = []
    flawmap.regions(run_copy, roi=left_half, images=[tiny_data], say=said.append)
    trained = read_manifest(run_copy).training.images
    assert f"Note: {trained} images left out: the inspector was trained on them." in said


def test_figures_of_another_region_are_forgotten(run_copy, left_half):
    """They were measured on maps that the inspector no longer gives."""
    manifest = read_manifest(run_copy)
    write_manifest(run_copy, manifest.model_copy(update={"metrics": {"data": "parts"}}))
    flawmap.regions(run_copy, min_area=4)
    assert read_manifest(run_copy).metrics == {"data": "parts"}
    flawmap.regions(run_copy, roi=left_half)
    assert read_manifest(run_copy).metrics is None


def test_named_images_that_do_not_count_are_told(run_copy, tiny_data, left_half, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    images = [
        tiny_data / "train",
        *(tiny_data / "test" / "good").glob("*"),
        tmp_path / "broken.png",
    ]
    said: list[str] = []
    flawmap.regions(run_copy, roi=left_half, images=iter(images), say=said.append)
    assert any("the inspector was trained on them" in line for line in said)
    assert any("broken.png" in line for line in said)


def test_a_region_changed_by_hand_is_refused(run_copy, left_half):
    flawmap.regions(run_copy, roi=left_half)
    (picture,) = run_copy.glob("region-*.png")
    picture.write_bytes(picture.read_bytes() + b" ")
    with pytest.raises(FlawmapError, match="was changed"):
        flawmap.Inspector.load(run_copy)
    flawmap.regions(run_copy, everywhere=True)
    flawmap.Inspector.load(run_copy)


def test_filters_stay_until_changed(run_copy):
    flawmap.regions(run_copy, min_area=40, merge_distance=3)
    found = flawmap.regions(run_copy, pixel_pitch=0.5, min_area_mm2=4).filters
    assert (found.min_area, found.merge_distance, found.pixel_pitch) == (16.0, 3.0, 0.5)
    assert read_manifest(run_copy).filters == found


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_area": -1}, "--min-area -1"),
        ({"pixel_pitch": 0}, "--pixel-pitch 0"),
        ({"min_area_mm2": 2}, "needs --pixel-pitch"),
        ({"min_area_mm2": 2, "min_area": 3, "pixel_pitch": 1}, "excludes one in pixels"),
        ({"everywhere": True, "roi": "x.png"}, "--everywhere excludes"),
        ({"images": ["good"]}, "--images goes with --roi, --ignore or --everywhere; .*calibrate"),
        ({"images": ["good"], "min_area": 4}, "--images goes with"),
    ],
)
def test_wrong_usage_changes_nothing(run_copy, wrong, message):
    before = (run_copy / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match=message):
        flawmap.regions(run_copy, **wrong)
    assert (run_copy / "manifest.json").read_bytes() == before


def write_lines(folder: Path, run: Path, **changes: Any) -> None:
    """The record of one image, as the run would write it."""
    record = make_record(run=run_id(read_manifest(run)), **changes)
    (folder / "lines.jsonl").write_text(record.to_json() + "\n")


def lowered(run: Path) -> None:
    """A pixel threshold that marks something, and scores that are rejected."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("pixel", "reject", "review"):
        manifest["calibration"][name]["value"] = 1e-9
    path.write_text(json.dumps(manifest))


def test_an_image_without_a_region_left_is_good(run_copy, tiny_data):
    lowered(run_copy)
    path = next((tiny_data / "test" / "good").glob("*.png"))
    seen = flawmap.Inspector.load(run_copy).inspect(path)
    assert seen.verdict == "reject"
    assert seen.defects
    flawmap.regions(run_copy, min_area=10**6)
    seen = flawmap.Inspector.load(run_copy).inspect(path)
    assert (seen.verdict, seen.defects, int(seen.mask.sum())) == ("good", (), 0)


def test_stored_maps_are_judged_as_an_inspection_would(run_copy, tiny_data, tmp_path, left_half):
    images = [tiny_data / "test"]
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run_copy, images, out=tmp_path / "maps", json_file=lines)
    flawmap.regions(run_copy, roi=left_half, min_area=20, merge_distance=5, pixel_pitch=0.1)
    flawmap.calibrate(run_copy, false_reject=0.3, review=0.5)
    judged = flawmap.judge(run_copy, lines, json_file=tmp_path / "judged.jsonl")
    again = flawmap.predict(run_copy, images)
    assert len(judged) == len(again) == 9
    for one, other in zip(judged, again, strict=True):
        same = {"score": 0.0, "milliseconds": None, "map": None}
        assert one.model_copy(update=same) == other.model_copy(update=same)
        assert one.score == pytest.approx(other.score, rel=1e-6)
    assert [record for _, record in read_lines(tmp_path / "judged.jsonl")] == judged
    assert flawmap.judge(run_copy, tmp_path / "judged.jsonl") == judged


def test_results_can_be_moved(run_copy, tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = [tiny_data / "test" / "good"]
    first, *_ = flawmap.predict(run_copy, images, out="res/marked", json_file="res/lines.jsonl")
    assert first.map.file == f"marked/{Path(first.path).stem}_map.npy"
    expected = flawmap.judge(run_copy, "res/lines.jsonl", json_file="other/again.jsonl")
    assert expected[0].map.file.startswith("../res/marked/")
    (tmp_path / "there").mkdir()
    (tmp_path / "res").rename(tmp_path / "there" / "elsewhere")
    monkeypatch.chdir("/")
    moved = flawmap.judge(run_copy, tmp_path / "there" / "elsewhere" / "lines.jsonl")
    assert [one.verdict for one in moved] == [one.verdict for one in expected]
    alone = flawmap.predict(run_copy, images, out=tmp_path / "alone")
    assert Path(alone[0].map.file).is_absolute()


def test_printed_lines_can_be_moved_with_their_maps(run_copy, tiny_data, tmp_path, capsys):
    """They hold absolute paths, as flawmap does not know where the shell puts them."""
    images = sorted(tiny_data.rglob("*.png"))[:2]
    before = tmp_path / "before"
    flawmap.predict(run_copy, images, out=before / "marked", json_file="-")
    (before / "lines.jsonl").write_text(capsys.readouterr().out + "\n")
    assert len(flawmap.judge(run_copy, before / "lines.jsonl")) == 2
    before.rename(tmp_path / "after")
    assert len(flawmap.judge(run_copy, tmp_path / "after" / "lines.jsonl")) == 2
    (tmp_path / "after" / "marked").rename(tmp_path / "after" / "other")
    with pytest.raises(FlawmapError, match=r"before/marked/.*_map\.npy: No such file"):
        flawmap.judge(run_copy, tmp_path / "after" / "lines.jsonl")


def test_maps_below_a_link_are_moved_with_it(run_copy, tiny_data, tmp_path):
    images = sorted(tiny_data.rglob("*.png"))[:1]
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "marked").symlink_to(tmp_path / "disk")
    lines = tmp_path / "results" / "lines.jsonl"
    flawmap.predict(run_copy, images, out=tmp_path / "results" / "marked", json_file=lines)
    (tmp_path / "far").mkdir()
    (tmp_path / "results").rename(tmp_path / "far" / "results")
    assert flawmap.judge(run_copy, tmp_path / "far" / "results" / "lines.jsonl")


def test_lines_are_judged_in_the_precision_that_wrote_them(run_copy, tiny_data, tmp_path):
    """Thresholds of an export are its own, and each of its runtime."""
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run_copy, [tiny_data / "test"], out=tmp_path / "out", json_file=lines)
    manifest = read_manifest(run_copy)
    own = manifest.calibration.model_dump()
    own["reject"]["value"] = own["review"]["value"] = -1.0
    export = Export(
        precision="int8", files={}, calibration=own, images=1, map_max=0, map_mean=0, score_max=0,
        score_mean=0, flips=0, p_value_mean=0, within_limits=True,
    )  # fmt: skip
    write_manifest(run_copy, manifest.model_copy(update={"exports": {"onnx-int8": export}}))
    as_int8 = lines.read_text().replace('"float32"', '"int8"')
    (tmp_path / "int8.jsonl").write_text(as_int8)
    found = flawmap.judge(run_copy, tmp_path / "int8.jsonl")
    assert {one.verdict for one in found} == {"reject"}
    assert {one.verdict for one in flawmap.judge(run_copy, lines)} != {"reject"}
    (tmp_path / "other.jsonl").write_text(as_int8.replace('"onnxruntime"', '"openvino"'))
    with pytest.raises(FlawmapError, match=r"int8 on openvino, for which .* has no thresholds"):
        flawmap.judge(run_copy, tmp_path / "other.jsonl")


def test_lines_of_another_run(run_copy, tiny_data, tmp_path):
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run_copy, [tiny_data / "test" / "good"], out=tmp_path, json_file=lines)
    mine = read_manifest(run_copy).files["model.onnx"][:16]
    lines.write_text(lines.read_text().replace(mine, "0123456789abcdef"))
    with pytest.raises(FlawmapError, match=f"Line 1 .* run \\(0123456789abcdef\\), .*{mine}"):
        flawmap.judge(run_copy, lines)


def test_a_line_cut_short_is_left_out(run_copy, tiny_data, tmp_path, caplog):
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(run_copy, [tiny_data / "test" / "good"], out=tmp_path, json_file=lines)
    lines.write_bytes(lines.read_bytes()[:-20])
    assert len(flawmap.judge(run_copy, lines)) == 2
    assert "Line 3" in caplog.text


@pytest.mark.parametrize(
    "shape", ["(99999999999, 99999999999)", "(128, 128)", "(128, -128)", "(" * 999, "9" * 3000]
)
def test_a_map_whose_header_lies(run_copy, tmp_path, shape):
    """Nothing is allocated for what a header claims."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + b"\0" * 99
    (tmp_path / "a.npy").write_bytes(data)
    write_lines(tmp_path, run_copy, map={"file": "a.npy", "size": [128, 128], "score": 0.0})
    with pytest.raises(FlawmapError, match=r"a\.npy") as caught:
        flawmap.judge(run_copy, tmp_path / "lines.jsonl")
    assert len(str(caught.value).splitlines()) == 1


def test_a_line_with_an_error_stays(run_copy, tmp_path):
    record = make_record("broken.png", error="broken.png: not an image")
    (tmp_path / "lines.jsonl").write_text(record.to_json() + "\n")
    assert flawmap.judge(run_copy, tmp_path / "lines.jsonl") == [record]


@pytest.mark.parametrize("text", ["no json", "[1]", "[" * 5000, '{"path": "a.png", "score": 1.0}'])
def test_lines_that_are_no_records(run_copy, tmp_path, text):
    (tmp_path / "lines.jsonl").write_text(text + "\n")
    with pytest.raises(FlawmapError, match=r"Cannot read line 1 of .*(Give|Predict)"):
        flawmap.judge(run_copy, tmp_path / "lines.jsonl")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (None, "names no usable map"),
        ({"file": "a", "size": [10**9, 10**9], "score": 0}, "names no usable map"),
        ({"file": "a.npy", "size": [1, 1], "score": 0}, "Cannot read the map"),
    ],
)
def test_records_that_cannot_be_judged(run_copy, tmp_path, stored, message):
    write_lines(tmp_path, run_copy, map=stored)
    with pytest.raises(FlawmapError, match=message):
        flawmap.judge(run_copy, tmp_path / "lines.jsonl")


def test_a_map_of_another_run(run_copy, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((8, 8), np.float32))
    stored = {"file": str(tmp_path / "a.npy"), "size": [8, 8], "score": 0.0}
    write_lines(tmp_path, run_copy, map=stored)
    with pytest.raises(FlawmapError, match="not a map of this run"):
        flawmap.judge(run_copy, tmp_path / "lines.jsonl")


def test_figures_are_of_the_region_alone(run_copy, tiny_data, left_half):
    """A defect outside of it counts for nothing."""
    flawmap.regions(run_copy, roi=left_half)
    found = flawmap.evaluate(run_copy, tiny_data)
    masks = [read_mask(p, (128, 128)) for p in (tiny_data / "ground_truth").rglob("*.png")]
    inside = [mask[:, :64] for mask in masks]
    regions = [ndimage.label(mask, np.ones((3, 3)))[1] for mask in inside]
    assert found.metrics.instances == sum(regions)
    outside = sum(not mask.any() for mask in inside)
    assert ("outside_region" in found.metrics.notes) == (outside > 0)
