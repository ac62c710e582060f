"""Judging stored maps: each record by the map that it was written with."""

from __future__ import annotations

from pathlib import Path

import pytest

import flawmap
from flawmap import FlawmapError


@pytest.mark.parametrize("parquet", [False, True])
def test_a_map_that_a_later_image_replaced_is_refused(
    tiny_run: Path, images: Path, tmp_path: Path, parquet: bool
) -> None:
    if parquet:
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (extra cluster)")
    option = "parquet" if parquet else "json_file"
    days = []
    for day, name in enumerate(("part2.png", "part10.png")):
        (folder := tmp_path / f"day{day}").mkdir()
        (folder / "a.png").write_bytes((images / name).read_bytes())
        days.append(tmp_path / f"results{day}")
        flawmap.predict(tiny_run, folder, out=tmp_path / "out", **{option: days[-1]})
    with pytest.raises(FlawmapError, match=r"Line 1 of .*a_map\.npy was replaced .*predict again"):
        flawmap.judge(tiny_run, days[0])
    assert len(flawmap.judge(tiny_run, days[1])) == 1


def test_a_map_of_an_equal_image_is_the_same_map(
    tiny_run: Path, images: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    flawmap.predict(tiny_run, images, out=tmp_path / "out", json_file=lines)
    again = flawmap.predict(tiny_run, images, out=tmp_path / "out")
    assert [one.score for one in flawmap.judge(tiny_run, lines)] == [one.score for one in again]
