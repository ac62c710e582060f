"""``predict --parquet``: parts that are continued, and begun anew for another run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.inspection.output import parts
from flawmap.inspection.output.lines import read_lines
from flawmap.inspection.output.parts import read_parts
from flawmap.inspection.record import InspectionRecord
from inspection.many.conftest import untimed

pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (extra cluster)")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_ROWS", 5)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("on", ["threads", "local"])
def test_what_is_done_is_not_done_again(
    on: str, run_copy: Path, twelve: Path, tmp_path: Path
) -> None:
    expected = flawmap.predict(run_copy, [twelve], out=tmp_path / "expected", threads=1)
    results = tmp_path / "results"
    said: list[str] = []
    options: dict[str, Any] = {"parquet": results, "out": tmp_path / "out", "threads": 1, "on": on}

    def stop(record: InspectionRecord, total: int) -> None:
        if record.path == str(twelve / "6.png"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flawmap.predict(run_copy, [twelve], show=stop, **options)
    assert names(results) == ["part-00000.parquet", "part-00001.parquet"]
    first = list(read_parts(results))
    assert 7 <= len(first) < 12
    found = flawmap.predict(run_copy, [twelve], say=said.append, **options)
    assert said[0] == f"{len(first)} of 12 images are in {results} already."
    assert len(found) == 12 - len(first)
    together = list(read_parts(results))
    for record in expected:
        assert record.map is None or record.map.file
    maps = [r.map and Path(r.map.file).name for r in together]
    assert maps == [r.map and Path(r.map.file).name for r in expected]
    assert [r.pop("map", None) and r for r in untimed(together)] == [
        r.pop("map", None) and r for r in untimed(expected)
    ]
    before = {name: (results / name).read_bytes() for name in names(results)}
    assert flawmap.predict(run_copy, [twelve], **options) == []
    assert {name: (results / name).read_bytes() for name in names(results)} == before
    judged = flawmap.judge(run_copy, results)
    assert [record.score for record in judged] == [record.score for record in expected]


def test_another_run_begins_anew(run_copy: Path, twelve: Path, tmp_path: Path) -> None:
    results, said = tmp_path / "results", list[str]()
    flawmap.predict(run_copy, [twelve], parquet=results)
    path = run_copy / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["filters"]["min_area"] = 20
    path.write_text(json.dumps(manifest), encoding="utf-8")

    def stop(record: InspectionRecord, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flawmap.predict(run_copy, [twelve], parquet=results, show=stop, say=said.append)
    assert said == [
        f"{results} holds results of another model or other settings: all images are inspected "
        "again."
    ]
    assert len({record.settings for record in read_parts(results)}) == 1
    flawmap.predict(run_copy, [twelve], parquet=results)
    found = list(read_parts(results))
    assert [record.path for record in found] == [str(twelve / f"{n}.png") for n in range(12)]


def test_an_image_named_twice_has_two_records(run_copy: Path, twelve: Path, tmp_path: Path) -> None:
    image, results = twelve / "1.png", tmp_path / "results"
    flawmap.predict(run_copy, [image], parquet=results)
    assert len(flawmap.predict(run_copy, [image, image, image], parquet=results)) == 2
    assert len(list(read_lines(results))) == 3


def test_folders_that_hold_something_else_stay_as_they_are(
    run_copy: Path, twelve: Path, tmp_path: Path
) -> None:
    for given in (twelve, twelve / "1.png"):
        with pytest.raises(UsageError, match=r"give (another|a) folder"):
            flawmap.predict(run_copy, [twelve], parquet=given)
    with pytest.raises(UsageError, match="--json or --parquet"):
        flawmap.predict(run_copy, [twelve], parquet=tmp_path / "a", json_file=tmp_path / "b")
    (damaged := tmp_path / "damaged").mkdir()
    (damaged / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(FlawmapError, match=r"part-00000\.parquet is not what predict wrote"):
        flawmap.predict(run_copy, [twelve], parquet=damaged)
    assert names(damaged) == ["part-00000.parquet"]


def test_paths_that_are_no_text_are_stored_with_escapes(tmp_path: Path, twelve: Path) -> None:
    assert parts.stored_path("/a\udcff.png") == str(Path("/").absolute() / "a\\udcff.png")


def test_equal_names_in_two_current_folders_are_two_images(
    run_copy: Path, twelve: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        shutil.copy(twelve / "1.png", tmp_path / day)
        monkeypatch.chdir(tmp_path / day)
        assert len(flawmap.predict(run_copy, ".", parquet=results)) == 1
    monkeypatch.chdir(tmp_path)
    assert flawmap.predict(run_copy, ["day1/1.png", "day2"], parquet=results) == []
    assert [record.path for record in read_parts(results)] == [
        str(tmp_path / day / "1.png") for day in ("day1", "day2")
    ]


def test_images_that_get_no_output_are_counted(
    run_copy: Path, twelve: Path, tmp_path: Path
) -> None:
    results, said = tmp_path / "results", list[str]()
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = [twelve / "0.png", twelve / "1.png", tmp_path / "broken.png"]

    def say_of(out: str | None, *, count: int) -> list[str]:
        said.clear()
        folder = None if out is None else tmp_path / out
        flawmap.predict(run_copy, images[:count], parquet=results, out=folder, say=said.append)
        return said

    assert say_of("first", count=1) == []
    assert say_of(None, count=3) == [f"1 of 3 images are in {results} already."]
    assert say_of("first", count=3)[1:] == [
        f"1 of them have no output images in {tmp_path / 'first'} and get none: to write these, "
        "give another folder as --parquet."
    ]
    assert say_of("firs", count=3)[1].startswith("2 of them have no output images")
    assert len(say_of(None, count=3)) == 1
