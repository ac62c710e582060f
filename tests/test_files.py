from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from flawmap.errors import FlawmapError
from flawmap.files import make_folder, replacing, sweep, write_bytes, write_json


def test_write_replaces_and_leaves_nothing_beside(tmp_path: Path):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_json_keeps_letters_and_ends_with_a_newline(tmp_path: Path):
    write_json(tmp_path / "a.json", {"größe": [1, 2.5, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "größe" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"größe": [1, 2.5, None]}


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlawmapError, match=r"Cannot write .*file\.bin: No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_any_failure_of_the_block_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyError("anything")

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_on_the_disk_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_bytes(tmp_path / "a", b"x")
    assert calls == ["fsync", "replace"]


def test_sweep_drops_what_killed_writes_left_and_nothing_else(tmp_path: Path):
    kept = [tmp_path / name for name in ("a.json", ".hidden", ".a.json.12", ".a.7.nothexes")]
    for path in kept:
        path.touch()
    with replacing(tmp_path / "a.json") as temporary:
        temporary.touch()
        temporary.with_name(temporary.name.replace("a.json", "b.json")).touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_absent_folder_is_one_line(tmp_path: Path):
    with pytest.raises(FlawmapError, match="Cannot write") as caught:
        write_bytes(tmp_path / "absent" / "a", b"x")
    assert "\n" not in str(caught.value)


def test_make_folder(tmp_path: Path):
    deep = tmp_path / "a" / "b"
    assert make_folder(deep) == deep
    assert make_folder(deep).is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(FlawmapError, match="Cannot create the folder"):
        make_folder(tmp_path / "file" / "below")
