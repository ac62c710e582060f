"""Lists of images, and their order and names."""

from __future__ import annotations

from pathlib import Path

import pytest

import flawmap
from flawmap import FlawmapError, UsageError
from flawmap.inspection.many.jobs import list_jobs
from flawmap.inspection.many.lists import read_list
from inspection.many.conftest import untimed


def write_table(file: Path, /, **columns: list[object]) -> Path:
    pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (extra cluster)")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), file)
    return file


def test_text_and_parquet_list_the_same_images(
    run_copy: Path, twelve: Path, tmp_path: Path
) -> None:
    paths: list[object] = [str(twelve / name) for name in ("7.png", "5.png", "none.png", "7.png")]
    (text := tmp_path / "list.txt").write_text("\n".join(map(str, paths)), encoding="utf-8")
    found = flawmap.predict(run_copy, lists=[text])
    assert [record.path for record in found] == paths
    assert [record.failed for record in found] == [False, True, True, False]
    table = write_table(tmp_path / "list.parquet", path=paths, camera=["a", "b", "c", "d"])
    assert untimed(flawmap.predict(run_copy, lists=[table])) == untimed(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.png\nb c.png\n", ["a.png", "b c.png"]),
        ("\ufeffa.png\r\n\r\nb.png\r\n", ["a.png", "b.png"]),
        ("s3://bucket/ü.png\n# 1.png", ["s3://bucket/ü.png", "# 1.png"]),
    ],
)
def test_texts(content: str, expected: list[str], tmp_path: Path) -> None:
    (path := tmp_path / "list").write_bytes(content.encode())
    assert read_list(str(path)) == expected


def test_lists_that_are_none(tmp_path: Path) -> None:
    (empty := tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(FlawmapError, match="lists no images"):
        read_list(str(empty))
    with pytest.raises(UsageError, match=r"Cannot read the list .*: No such file"):
        read_list(str(tmp_path / "none.txt"))
    with pytest.raises(UsageError, match="Is a directory"):
        read_list(str(tmp_path))


def test_tables_that_do_not_say_where_images_are(tmp_path: Path) -> None:
    two = write_table(tmp_path / "two.parquet", left=["a"], right=["b"])
    with pytest.raises(UsageError, match="2 columns of strings"):
        read_list(str(two))
    numbers = write_table(tmp_path / "numbers.parquet", path=[1])
    with pytest.raises(UsageError, match="0 columns of strings"):
        read_list(str(numbers))
    gaps = write_table(tmp_path / "gaps.parquet", only=["a", None])
    with pytest.raises(FlawmapError, match=r"1 row\(s\) have no only"):
        read_list(str(gaps))
    (tmp_path / "cut.parquet").write_bytes(two.read_bytes()[:50])
    with pytest.raises(FlawmapError, match="Cannot read the list"):
        read_list(str(tmp_path / "cut.parquet"))


def test_output_files_of_a_list_have_names_below_its_common_folder(tmp_path: Path) -> None:
    (listing := tmp_path / "list.txt").write_text(
        "/a/b/1.png\n/a/c/1.png\n/a/b/../b/1.png\ns3://a/../../x.png\n", encoding="utf-8"
    )
    pytest.importorskip("s3fs", reason="s3:// needs s3fs")
    found = [job.name for job in list_jobs([], [str(listing)], tmp_path / "out")]
    assert found == ["a/b/1", "a/c/1", "a/b/1_png", "x"]


def test_images_come_in_the_order_of_the_call(twelve: Path, tmp_path: Path) -> None:
    (listing := tmp_path / "list.txt").write_text(f"{twelve / '9.png'}\n", encoding="utf-8")
    given = [twelve / "3.png", twelve / "1.png"]
    jobs = list_jobs(given, [str(listing)], tmp_path / "out")
    assert [Path(job.source).name for job in jobs] == ["3.png", "1.png", "9.png"]
    assert [job.name for job in jobs] == ["3", "1", "9"]


def test_output_files_that_would_replace_an_input_are_known(tmp_path: Path) -> None:
    for name in ("a.png", "a_overlay.png"):
        (tmp_path / name).touch()
    jobs = list_jobs([tmp_path / "a.png", tmp_path / "a_overlay.png"], [], None)
    assert [job.inputs for job in jobs] == [()] * len(jobs)
    (listing := tmp_path / "list.txt").write_text(
        f"{tmp_path}/a.png\n{tmp_path}/a_overlay.png\n", encoding="utf-8"
    )
    first, second = list_jobs([], [str(listing)], tmp_path)
    assert first.inputs == (str(tmp_path / "a_overlay.png"),)
    assert second.inputs == ()
