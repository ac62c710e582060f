from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flawmap.errors import FlawmapError
from flawmap.utils.files import (
    OURS,
    check_space,
    check_writable,
    digest,
    make_folder,
    replacing,
    sweep,
    sweep_below,
    write_bytes,
    write_json,
)


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
    names = (
        "a.json",
        ".hidden",
        ".labels.2024.deadbeef",
        ".flawmap-work",
        ".flawmap-7.nothexes.tmp",
    )
    kept = [tmp_path / name for name in names]
    for path in kept:
        path.touch()
    with replacing(tmp_path / "a.json") as temporary:
        temporary.touch()
        temporary.with_name(".flawmap-7.0123abcd.tmp").touch()
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_sweeping_below_spares_what_others_are_writing(tmp_path: Path):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    dead, mine = int(gone.stdout), os.getpid()
    names = {
        f"{OURS}{dead}.0123abcd.tmp": False,
        f"{OURS}{mine}.0123abcd.tmp": True,
        f"{OURS}{dead}.0123abcd.png": True,
        "mine.tmp": True,
    }
    (tmp_path / "below").mkdir()
    for name in names:
        for path in (tmp_path / name, tmp_path / "below" / name):
            path.write_bytes(b"")
            os.utime(path, (1, 1))
    fresh = tmp_path / f"{OURS}{dead}.ffffffff.tmp"
    fresh.write_bytes(b"")
    sweep_below(tmp_path)
    for place in (tmp_path, tmp_path / "below"):
        assert {name: (place / name).exists() for name in names} == names
    assert fresh.exists()


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


def test_a_name_of_the_longest_kind_can_be_written(tmp_path: Path):
    path = tmp_path / ("x" * 250 + ".json")
    write_json(path, 1)
    assert path.read_text(encoding="utf-8") == "1\n"


def test_writing_is_tried_beforehand_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    check_writable(tmp_path)
    check_writable(tmp_path / "new" / "run")
    check_writable(tmp_path / "new.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FlawmapError, match=r"Cannot write .*run: .*file is a file"):
        check_writable(tmp_path / "file" / "run")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FlawmapError, match="No space left"):
        check_writable(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_too_full(tmp_path: Path):
    check_space(tmp_path, 1)
    with pytest.raises(FlawmapError, match=r"needs about .* MB free"):
        check_space(tmp_path, 2**62)


@pytest.mark.posix
def test_digest_refuses_what_may_never_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").write_bytes(bytes(11))
    for name, why in (("pipe.png", "regular"), ("large.png", "MiB"), ("no.png", "No such file")):
        with pytest.raises(FlawmapError, match=rf"{name}: cannot be read \(.*{why}"):
            digest(tmp_path / name, 10)
    assert digest(tmp_path / "large.png") == hashlib.sha256(bytes(11)).hexdigest()


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x" * 300 + "/run"])
def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path, name: str):
    with pytest.raises(FlawmapError, match="Cannot write") as caught:
        check_writable(tmp_path / name)
    assert "\n" not in str(caught.value)
