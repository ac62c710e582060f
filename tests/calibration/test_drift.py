"""From lines of ``predict`` to the finding: what is tested, what is left out, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.calibration.martingale import find_drift
from flawmap.inspection.bundle.manifest import Export, read_manifest, write_manifest
from flawmap.inspection.conformal import Calibration
from inspection.records import make_record


def scores_in(path):
    return np.array([json.loads(line)["score"] for line in path.read_text().splitlines()])


def test_parts_like_those_before_raise_no_alarm(calibrated_run, lines_of):
    path = lines_of(shift=0.0)
    found = flawmap.drift(calibrated_run, path)
    limit = read_manifest(calibrated_run).calibration.reject.value
    assert found.rejected == (scores_in(path) >= limit).sum() > 0
    assert found.parts == 200 - found.rejected
    assert (found.alarm, found.alarm_at, found.direction, found.skipped) == (False, None, None, 0)
    assert 1.0 <= found.evidence < 100
    assert found.statement() == (
        f"No alarm: {found.parts} parts tested, {found.rejected} rejected and left out. If "
        "nothing changes, the probability of ever raising an alarm is at most 1%."
    )


@pytest.mark.parametrize(("shift", "direction"), [(1.5, "higher"), (-1.5, "lower")])
def test_parts_that_look_otherwise_raise_one(calibrated_run, lines_of, shift, direction):
    path = lines_of(shift=shift)
    found = flawmap.drift(calibrated_run, path, false_alarm=0.02)
    assert found.alarm
    assert found.direction == direction
    assert found.evidence >= 50
    assert f"ALARM at line {found.alarm_at}: good parts score {direction}" in found.statement()
    assert "an alarm is at most 2%" in found.statement()


@pytest.mark.parametrize("rejected", [False, True])
def test_both_sides_are_cut_at_the_threshold_or_neither(calibrated_run, lines_of, rejected):
    """The threshold is a calibration score: itself it is none of those exchangeable below it."""
    path = lines_of(shift=0.7)
    calibration = read_manifest(calibrated_run).calibration
    limit = np.inf if rejected else calibration.reject.value
    before, after = np.array(calibration.scores), scores_in(path)
    (lines,) = np.nonzero(after < limit)
    expected = find_drift(before[before < limit].tolist(), after[lines].tolist(), 0.01)
    found = flawmap.drift(calibrated_run, path, rejected=rejected)
    assert expected.alarm_at is not None
    assert found.alarm_at == lines[expected.alarm_at] + 1
    assert found.evidence == expected.value
    assert found.parts == len(lines)


def test_with_images_left_out_rejected_parts_cannot_be_tested(calibrated_run, lines_of):
    """Good parts as odd as those left out would raise an alarm though nothing changed."""
    manifest = read_manifest(calibrated_run)
    calibration = manifest.calibration.model_copy(update={"left_out": ("ab",)})
    write_manifest(calibrated_run, manifest.model_copy(update={"calibration": calibration}))
    lines = lines_of(0.0)
    assert not flawmap.drift(calibrated_run, lines).alarm
    with pytest.raises(FlawmapError, match="Leave --rejected out"):
        flawmap.drift(calibrated_run, lines, rejected=True)


def test_lines_with_errors_are_counted_and_half_a_line_is_not_read(calibrated_run, lines_of):
    whole = flawmap.drift(calibrated_run, lines_of(shift=0.0))
    error = make_record("b.png", error="b.png: not an image").to_json()
    found = flawmap.drift(calibrated_run, lines_of(0.0, f'{error}\n{error}\n{{"path": "c.pn'))
    assert found.skipped == 2
    assert ", 2 not inspected" in found.statement()
    assert (found.parts, found.evidence) == (whole.parts, whole.evidence)


def test_the_line_of_the_alarm_counts_all_lines(calibrated_run, lines_of):
    path = lines_of(shift=-2.0)
    found = flawmap.drift(calibrated_run, path)
    error = make_record("b.png", error="b.png: not an image").to_json()
    path.write_text(f"{error}\n{path.read_text()}")
    assert flawmap.drift(calibrated_run, path).alarm_at == found.alarm_at + 1


def test_no_line_yet(calibrated_run, tmp_path):
    path = tmp_path / "none.jsonl"
    path.touch()
    found = flawmap.drift(calibrated_run, path)
    assert (found.parts, found.evidence, found.alarm) == (0, 1.0, False)


def test_the_finding_as_a_file(calibrated_run, lines_of, tmp_path):
    path = tmp_path / "new" / "drift.json"
    found = flawmap.drift(calibrated_run, lines_of(shift=2.0), json_file=path)
    written = json.loads(path.read_text())
    assert written == found.to_dict()
    assert written["alarm"] is True
    assert written["statement"] == found.statement()


@pytest.mark.parametrize(
    "line",
    [
        "text", "[1]", "3", '{"path": "a"}', '{"score": 1.0}', '{"path": "a", "format": 1}',
        make_record(score=1234.5).to_json().replace("1234.5", "NaN"),
    ],
)  # fmt: skip
def test_lines_of_something_else(calibrated_run, lines_of, line):
    with pytest.raises(
        FlawmapError, match=r"Cannot read line 201 of .*(Give the file|Predict again)"
    ) as caught:
        flawmap.drift(calibrated_run, lines_of(0.0, line + "\n"))
    assert "\n" not in str(caught.value)


def test_lines_of_another_run(calibrated_run, lines_of):
    with pytest.raises(FlawmapError, match=r"Line 1 of .* written by another run \(cdcd\), not by"):
        flawmap.drift(calibrated_run, lines_of(0.0, run="cdcd"))


def test_lines_from_before_the_region_changed(calibrated_run, lines_of):
    """Scores within a region are others; those of lines that were judged again are right."""
    manifest = read_manifest(calibrated_run)
    before = lines_of(0.0)
    write_manifest(calibrated_run, manifest.model_copy(update={"region": "cd" * 32}))
    with pytest.raises(FlawmapError, match=r"Line 1 of .* before the run's region .* changed"):
        flawmap.drift(calibrated_run, before)
    within = lines_of(0.0, region="cd" * 8)
    assert flawmap.drift(calibrated_run, within).alarm is False
    write_manifest(calibrated_run, manifest)
    with pytest.raises(FlawmapError, match="region"):
        flawmap.drift(calibrated_run, within)


@pytest.mark.parametrize("field", ["run", "precision", "backend"])
def test_lines_that_do_not_say_who_wrote_them(calibrated_run, lines_of, field):
    """By their p-values it could be guessed, and a guess gives no guarantee."""
    path = lines_of(0.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[6][field]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FlawmapError, match=rf"line 7 of .* damaged: {field}.* Predict again"):
        flawmap.drift(calibrated_run, path)


def exported(run, scores, **changes):
    """The run with INT8 thresholds for ONNX Runtime."""
    calibration = Calibration.from_scores(scores, scores, **changes)
    export = Export(
        precision="int8", files={}, calibration=calibration,
        images=1, map_max=0.0, map_mean=0.0, score_max=0.0, score_mean=0.0, flips=0,
        p_value_mean=0.0,
        within_limits=True,
    )  # fmt: skip
    manifest = read_manifest(run)
    write_manifest(run, manifest.model_copy(update={"exports": {"onnx-int8": export}}))


def test_lines_of_its_own_export_in_int8(calibrated_run, lines_of):
    """Its scores are higher by 3, so that lines of float32 are lower than they were."""
    exported(calibrated_run, (np.random.default_rng(5).normal(size=60) + 3.0).tolist())
    assert flawmap.drift(calibrated_run, lines_of(0.0)).alarm is False
    assert flawmap.drift(calibrated_run, lines_of(3.0, precision="int8")).alarm is False
    found = flawmap.drift(calibrated_run, lines_of(0.0, precision="int8"))
    assert found.direction == "lower"
    with pytest.raises(FlawmapError, match=r"in int8 on openvino, for which .* has no thresholds"):
        flawmap.drift(calibrated_run, lines_of(0.0, precision="int8", backend="openvino"))
    with pytest.raises(FlawmapError, match=r"in bf16, for which .* has no thresholds"):
        flawmap.drift(calibrated_run, lines_of(0.0, precision="bf16"))


def test_lines_of_two_precisions(calibrated_run, lines_of):
    exported(calibrated_run, [0.1, 0.2])
    both = lines_of(0.0, precision="int8").read_text() + lines_of(0.0).read_text()
    path = lines_of(0.0)
    path.write_text(both)
    with pytest.raises(
        FlawmapError, match=r"Line 1 .* in int8 on onnxruntime, line 201 in float32"
    ):
        flawmap.drift(calibrated_run, path)


def test_in_float32_the_runtime_makes_no_difference(calibrated_run, lines_of):
    path = lines_of(0.0, backend="openvino")
    path.write_text(path.read_text() + lines_of(0.0).read_text())
    assert flawmap.drift(calibrated_run, path).parts > 300


def test_a_run_calibrated_by_folds_is_refused_until_it_is_calibrated_on_unseen_images(
    calibrated_run, lines_of
):
    """Fold models of 0.3 standard deviations more raise 58 false alarms in 100 streams."""
    manifest = read_manifest(calibrated_run)
    folded = manifest.calibration.model_copy(update={"folds": 5})
    write_manifest(calibrated_run, manifest.model_copy(update={"calibration": folded}))
    for path in (lines_of(0.0), lines_of(3.0)):
        with pytest.raises(FlawmapError, match=r"calibrated by folds.*flawmap calibrate .* GOOD"):
            flawmap.drift(calibrated_run, path)
    exported(calibrated_run, np.random.default_rng(5).normal(size=60).tolist())
    assert flawmap.drift(calibrated_run, lines_of(0.0, precision="int8")).alarm is False
    write_manifest(calibrated_run, manifest)
    assert flawmap.drift(calibrated_run, lines_of(0.0)).alarm is False


def test_calls_that_make_no_sense(calibrated_run, lines_of, tmp_path):
    with pytest.raises(UsageError, match="between 0 and 1"):
        flawmap.drift(calibrated_run, lines_of(0.0), false_alarm=1.0)
    with pytest.raises(FlawmapError, match="Cannot read"):
        flawmap.drift(calibrated_run, tmp_path / "absent.jsonl")
    with pytest.raises(FlawmapError, match="No such run"):
        flawmap.drift(tmp_path / "absent", lines_of(0.0))
