"""From lines of ``predict`` to the finding: what is tested, what is left out, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.calibration import Calibration
from flawmap.inspector.manifest import Export, read_manifest, write_manifest
from flawmap.martingale import find_drift


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
        f"No alarm: {found.parts} parts tested, {found.rejected} rejected and left out. As long as "
        "nothing changes, there is ever an alarm with probability 1% at most."
    )


@pytest.mark.parametrize(("shift", "direction"), [(1.5, "higher"), (-1.5, "lower")])
def test_parts_that_look_otherwise_raise_one(calibrated_run, lines_of, shift, direction):
    path = lines_of(shift=shift)
    found = flawmap.drift(calibrated_run, path, false_alarm=0.02)
    assert found.alarm
    assert found.direction == direction
    assert found.evidence >= 50
    assert f"ALARM at line {found.alarm_at}: good parts score {direction}" in found.statement()
    assert "probability 2% at most" in found.statement()


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


def test_lines_with_errors_are_counted_and_half_a_line_is_not_read(calibrated_run, lines_of):
    whole = flawmap.drift(calibrated_run, lines_of(shift=0.0))
    error = json.dumps({"path": "b.png", "error": "b.png: not an image"})
    found = flawmap.drift(calibrated_run, lines_of(0.0, f'{error}\n{error}\n{{"path": "c.pn'))
    assert found.skipped == 2
    assert ", 2 unreadable" in found.statement()
    assert (found.parts, found.evidence) == (whole.parts, whole.evidence)


def test_the_line_of_the_alarm_counts_all_lines(calibrated_run, lines_of):
    path = lines_of(shift=-2.0)
    found = flawmap.drift(calibrated_run, path)
    error = json.dumps({"path": "b.png", "error": "b.png: not an image"})
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
        "text", "[1]", "3", '{"path": "a"}', '{"score": "x", "p_value": 1}',
        '{"score": NaN, "p_value": 1}',
    ],
)  # fmt: skip
def test_lines_of_something_else(calibrated_run, lines_of, line):
    with pytest.raises(FlawmapError, match=r"Line 201 of .* is none of predict") as caught:
        flawmap.drift(calibrated_run, lines_of(0.0, line + "\n"))
    assert "\n" not in str(caught.value)


def test_lines_of_another_inspector(calibrated_run, lines_of):
    scores = np.linspace(0, 1, 30).tolist()
    with pytest.raises(FlawmapError, match=r"Line \d+ of .* was not written with this inspector"):
        flawmap.drift(calibrated_run, lines_of(0.0, judge=Calibration.from_scores(scores, scores)))


def test_lines_of_its_own_export_in_int8(calibrated_run, lines_of):
    scores = (np.random.default_rng(5).normal(size=60) + 3.0).tolist()
    export = Export(
        precision="int8", files={}, calibration=Calibration.from_scores(scores, scores),
        images=1, map_max=0.0, map_mean=0.0, score_max=0.0, score_mean=0.0, flips=0,
        p_value_mean=0.0,
        within_limits=True,
    )  # fmt: skip
    manifest = read_manifest(calibrated_run)
    write_manifest(calibrated_run, manifest.model_copy(update={"exports": {"x": export}}))
    assert flawmap.drift(calibrated_run, lines_of(0.0)).alarm is False
    found = flawmap.drift(calibrated_run, lines_of(0.0, judge=export.calibration))
    assert found.direction == "lower"


def test_calls_that_make_no_sense(calibrated_run, lines_of, tmp_path):
    with pytest.raises(UsageError, match="between 0 and 1"):
        flawmap.drift(calibrated_run, lines_of(0.0), false_alarm=1.0)
    with pytest.raises(FlawmapError, match="Cannot read"):
        flawmap.drift(calibrated_run, tmp_path / "absent.jsonl")
    with pytest.raises(FlawmapError, match="No such run"):
        flawmap.drift(tmp_path / "absent", lines_of(0.0))
