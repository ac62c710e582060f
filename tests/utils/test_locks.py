"""Locks on folders and files of lines, between processes and on drives without locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from flawmap.errors import FlawmapError
from flawmap.utils.files import foreign
from flawmap.utils.locks import LinesLock, only_writer

HOLD = """
import sys, time
from pathlib import Path
from flawmap.utils.locks import FolderLock, LinesLock
target = Path(sys.argv[1])
lock = FolderLock(target) if target.is_dir() else LinesLock(target)
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held_elsewhere(target: Path) -> Iterator[None]:
    """Hold the lock in another process, which is killed at the end."""
    command = [sys.executable, "-c", HOLD, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.kill()


@contextmanager
def lines_lock(file: Path) -> Iterator[None]:
    with ExitStack() as stack:
        stack.callback(LinesLock(file).release)
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lines.jsonl").write_text("{}\n")
    return tmp_path / "lines.jsonl"


def test_a_folder_is_refused_until_its_writer_is_killed(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path):
        with pytest.raises(FlawmapError, match="Another process is writing"), only_writer(tmp_path):
            pytest.fail("both got in")
        assert foreign(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1, "the killed process left the lock's file"
    with only_writer(tmp_path):
        assert foreign(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_lines_are_refused_until_their_writer_is_killed(file: Path) -> None:
    with held_elsewhere(file):
        with pytest.raises(FlawmapError, match=r"is writing lines to .*give another --json"):
            LinesLock(file)
        assert file.read_text() == "{}\n", "others read it"
    with lines_lock(file):
        pass
    assert list(file.parent.iterdir()) == [file]


def test_two_in_one_process(tmp_path: Path, file: Path) -> None:
    with only_writer(tmp_path), pytest.raises(FlawmapError, match="Another"), only_writer(tmp_path):
        pytest.fail("both got in")
    with lines_lock(file), pytest.raises(FlawmapError, match="Another"):
        LinesLock(file)


def test_a_refused_one_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        for _ in range(2):
            with pytest.raises(FlawmapError, match="Another process"), only_writer(tmp_path):
                pytest.fail("both got in")


def test_the_folder_is_free_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_writer(tmp_path):
        raise KeyError
    with only_writer(tmp_path):
        pass


def test_files_of_one_folder_are_locked_apart(file: Path) -> None:
    other = file.with_name("other.jsonl")
    with lines_lock(file), lines_lock(other), only_writer(file.parent):
        assert sorted(foreign(file.parent)) == ["lines.jsonl"]


def test_a_link_locks_what_it_links_to(tmp_path: Path, file: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.jsonl"
    try:
        link.symlink_to(file)
    except OSError:
        pytest.skip("no symbolic links here")
    with lines_lock(link), pytest.raises(FlawmapError, match="Another process"):
        LinesLock(file)


def test_the_longest_name_of_lines(tmp_path: Path) -> None:
    name = "ä" * 120 + ".jsonl"  # 246 bytes of at most 255
    with lines_lock(tmp_path / name), pytest.raises(FlawmapError, match="Another process"):
        LinesLock(tmp_path / name)


@pytest.mark.parametrize("name", ["absent", "file/run"])
def test_no_such_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FlawmapError, match=f"Cannot write .*{name}"), only_writer(tmp_path / name):
        pytest.fail("locked what is not there")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to make files, as a read-only folder does for all but root."""
    really = os.open

    def refuse(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.skipif(sys.platform == "win32", reason="filelock opens no file by os.open there")
@pytest.mark.usefixtures("read_only")
def test_a_read_only_folder(tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FlawmapError, match=r"Cannot write .*permissions"), only_writer(tmp_path):
        pytest.fail("locked what cannot be written")
    with lines_lock(file), lines_lock(file):
        pass  # the file itself may be writable
    assert [record.message.count("cannot be locked") for record in caplog.records] == [1]


@pytest.fixture
def flock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let flock answer with an error number."""
    fcntl = pytest.importorskip("fcntl")

    def answer(number: int) -> None:
        def fail(descriptor: int, how: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", fail)

    return answer


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_drive_without_locks_is_told_once(
    tmp_path: Path, file: Path, flock: Callable[[int], None], caplog, number: int
) -> None:
    flock(number)
    for _ in range(2):
        with only_writer(tmp_path), lines_lock(file):
            assert list(tmp_path.iterdir()) == [file], "no file stands in for the lock"
    assert [record.message.count("cannot be locked") for record in caplog.records] == [1, 1]


def test_other_errors_of_locking_are_not_swallowed(
    tmp_path: Path, flock: Callable[[int], None]
) -> None:
    flock(errno.EIO)
    with pytest.raises(FlawmapError, match=r"Cannot lock .*Input/output"), only_writer(tmp_path):
        pytest.fail("locked in spite of the error")
