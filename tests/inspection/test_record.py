"""One record of a result: what is written is read again, and other lines are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import flawmap
from flawmap import FlawmapError
from flawmap.data.image_io.images import read_image
from flawmap.inspection.output.lines import LinesFile, read_lines
from flawmap.inspection.record import (
    Defect,
    InspectionRecord,
    NotJsonError,
    StoredMap,
)
from inspection.records import RESULT, make_record

# names of files may hold any bytes, those that are no UTF-8 as lone surrogates
TEXT = st.text(st.characters(exclude_characters="\0"), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(min_value=0, max_value=2**62)
DEFECTS = st.lists(
    st.builds(
        Defect,
        box=st.tuples(COUNT, COUNT, COUNT, COUNT),
        area=COUNT,
        peak=NUMBER,
        length=NUMBER,
        mean=NUMBER,
        area_mm2=st.none() | NUMBER,
        length_mm=st.none() | NUMBER,
    ),
    max_size=3,
).map(tuple)
SIDE = st.integers(1, 10**6)
ORIGIN = dict.fromkeys(("run", "model", "settings", "precision", "backend", "device"), TEXT)
ORIGIN |= {"path": st.none() | TEXT, "region": st.none() | TEXT, "image": st.none() | TEXT}
ORIGIN |= {"bytes": st.none() | COUNT, "modified_ns": st.none() | COUNT}
INSPECTED = st.builds(
    InspectionRecord,
    **ORIGIN,
    score=NUMBER,
    p_value=st.floats(0, 1, exclude_min=True),
    verdict=st.sampled_from(["good", "review", "reject"]),
    defects=DEFECTS,
    milliseconds=st.none() | st.floats(0, 1e9),
    map=st.none()
    | st.builds(
        StoredMap,
        file=TEXT,
        size=st.tuples(SIDE, SIDE),
        score=NUMBER,
        sha256=st.none() | TEXT,
    ),
)
FAILED = st.builds(InspectionRecord, **ORIGIN, error=TEXT)


@given(INSPECTED | FAILED)
def test_what_is_written_is_read_again(record):
    line = record.to_json()
    assert line.isascii()
    assert "\n" not in line
    assert InspectionRecord.from_json(line) == record
    assert InspectionRecord.from_json(line.encode()) == record


def test_fields_without_a_value_are_left_out():
    assert "region" not in make_record().to_dict()
    failed = make_record(error="a.png: not an image").to_dict()
    assert not failed.keys() & {*RESULT, "map", "milliseconds", "region", "bytes"}
    assert make_record().to_dict()["defects"] == []


@pytest.mark.parametrize("absent", RESULT)
def test_a_record_has_a_whole_result_or_an_error(absent):
    with pytest.raises(ValidationError, match="without an error"):
        make_record(**{absent: None})
    with pytest.raises(ValidationError, match="with an error"):
        make_record(error="a.png: not an image", **{absent: RESULT[absent]})


def test_an_error_takes_the_place_of_the_result():
    stored = StoredMap(file="a.npy", size=(4, 4), score=0.5)
    record = make_record(map=stored, milliseconds=1.0, image="ef" * 32)
    failed = record.with_error("a.png: its images cannot be written")
    assert failed == make_record(error="a.png: its images cannot be written", image="ef" * 32)
    assert InspectionRecord.from_json(failed.to_json()) == failed


def test_a_line_of_a_later_version_asks_for_a_later_flawmap():
    line = json.dumps(make_record().to_dict() | {"format": 2, "verdict": "maybe"})
    with pytest.raises(FlawmapError, match=r"newer flawmap.*format 2.*update flawmap"):
        InspectionRecord.from_json(line)


def test_fields_added_later_or_by_a_user_are_ignored():
    record = make_record()
    line = json.dumps(record.to_dict() | {"part": 17, "camera": {"gain": 3}})
    assert InspectionRecord.from_json(line) == record


def test_a_line_from_before_records_had_a_format():
    value = make_record().to_dict()
    del value["format"]
    with pytest.raises(FlawmapError, match=r"older flawmap.*Predict again"):
        InspectionRecord.from_json(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "high"}, "score"),
        ({"score": None}, "without an error"),
        ({"verdict": "maybe"}, "verdict"),
        ({"p_value": 0.0}, "p_value"),
        ({"map": {"file": "a.npy", "size": [1e999, 1], "score": 0}}, r"map\.size\.0"),
        ({"map": {"file": "a.npy"}}, r"map\.size"),
        ({"format": "1"}, "format"),
        ({"run": None}, "run"),
    ],
)
def test_a_damaged_line_says_where(change, message):
    line = json.dumps(make_record().to_dict() | change)
    with pytest.raises(FlawmapError, match=rf"damaged: .*{message}.* Predict again") as caught:
        InspectionRecord.from_json(line)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("line", ["", "text", "{", "[" * 9999, b"\xff", '{"path": "a.pn'])
def test_a_line_that_is_no_json(line):
    with pytest.raises(NotJsonError, match="not JSON"):
        InspectionRecord.from_json(line)


@pytest.mark.parametrize("line", ["3", "[]", "null", "{}", '{"image_auroc": 0.9}'])
def test_json_of_something_else(line):
    with pytest.raises(FlawmapError, match="not an inspection record"):
        InspectionRecord.from_json(line)


def test_a_last_line_cut_short_is_left_out_and_others_are_named(tmp_path, caplog):
    path = tmp_path / "lines.jsonl"
    whole = make_record().to_json()
    path.write_text(f"{whole}\n\n{whole}\n{whole[:-30]}")
    assert [number for number, _ in read_lines(path)] == [1, 3]
    assert "Line 4" in caplog.text
    path.write_text(f"{whole}\n{whole[:-30]}\n{whole}\n")
    with pytest.raises(NotJsonError, match=r"Cannot read line 2 of .*lines\.jsonl"):
        list(read_lines(path))


def test_lines_of_every_verb_are_records(run_copy, images, tmp_path):
    (images / "broken.png").write_bytes(b"no picture")
    lines, watched, again = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    predicted = flawmap.predict(run_copy, images, json_file=lines, out=tmp_path / "out")
    judged = flawmap.judge(run_copy, lines, json_file=again)
    shown: list[InspectionRecord] = []
    flawmap.watch(
        run_copy,
        images,
        json_file=watched,
        settle=0.05,
        poll=0.01,
        stop=lambda: len(shown) == 4,
        show=lambda record, total: shown.append(record),
    )
    for path, records in ((lines, predicted), (again, judged), (watched, shown)):
        assert [record for _, record in read_lines(path)] == records
        assert sorted(Path(str(one.path)).name for one in records if one.failed) == ["broken.png"]
        assert len(records) == 4
    assert all(one.bytes and one.modified_ns for one in shown)
    digests = {one.path: one.image for one in shown}
    assert digests == {one.path: one.image for one in predicted}
    assert flawmap.drift(run_copy, watched).skipped == 1


def test_a_frame_has_no_path_and_its_file_a_digest(tiny_run, images):
    inspector = flawmap.Inspector.load(tiny_run, threads=1)
    path = images / "part2.png"
    from_file, from_bytes = (inspector.inspect(one).record for one in (path, path.read_bytes()))
    frame = inspector.inspect(read_image(path)).record
    assert (from_file.path, from_bytes.path, frame.path) == (str(path), None, None)
    assert from_file.image == from_bytes.image
    assert frame.image is None
    streamed = [
        one.record
        for frames in ([path], [path.read_bytes()], [read_image(path)])
        for one in inspector.inspect_frames(frames, colour="RGB")
    ]
    assert [(one.path, one.image) for one in streamed] == [
        (one.path, one.image) for one in (from_file, from_bytes, frame)
    ]
    assert InspectionRecord.from_json(frame.to_json()) == frame


def test_a_name_that_is_no_utf_8_survives(tmp_path):
    record = make_record("caf\udce9.png")
    file = LinesFile(tmp_path / "lines.jsonl")
    file.write(record)
    file.close()
    assert list(read_lines(tmp_path / "lines.jsonl")) == [(1, record)]


def test_the_record_needs_neither_torch_nor_a_runtime():
    heavy = "{'torch', 'onnxruntime', 'scipy', 'PIL'}"
    code = f"import sys, flawmap.inspection.record; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
