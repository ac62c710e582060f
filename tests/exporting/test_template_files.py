"""Templates on disk: found by later processes if nothing has changed, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from torch import nn

from flawmap.exporting import template_files
from flawmap.exporting.template_files import Template, read_template, write_template

TEMPLATE = Template(b"a graph", ("conv.weight", "conv.bias"), "ab" * 32)
NETWORK = nn.Conv2d(3, 1, 1)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "flawmap" / "graphs"


def test_a_template_is_found_again(folder: Path):
    assert read_template("structure", NETWORK) is None
    write_template("structure", NETWORK, TEMPLATE)
    assert read_template("structure", NETWORK) == TEMPLATE
    assert read_template("another structure", NETWORK) is None
    assert len(list(folder.iterdir())) == 1


def test_other_software_does_not_find_it(monkeypatch: pytest.MonkeyPatch):
    write_template("structure", NETWORK, TEMPLATE)
    monkeypatch.setattr(template_files, "_software", lambda: "another version")
    assert read_template("structure", NETWORK) is None


def test_the_software_is_told_by_versions_and_by_flawmaps_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "methods").mkdir()
    code = tmp_path / "methods" / "head.py"
    monkeypatch.setattr(template_files.resources, "files", lambda _: tmp_path)
    told = set()
    for text in ("one", "two"):
        code.write_text(text)
        os.utime(code, (0, 0))
        told.add(template_files._software.__wrapped__())
    monkeypatch.setattr(template_files.importlib.metadata, "version", lambda _: "9")
    told.add(template_files._software.__wrapped__())
    assert len(told - {None}) == 3
    code.write_text("installed while this process was running other code")
    future = template_files._IMPORTED + 5
    os.utime(code, (future, future))
    assert template_files._software.__wrapped__() is None


def test_networks_with_foreign_code_have_no_file(folder: Path):
    class Own(nn.Module):
        pass

    foreign = nn.Sequential(NETWORK, Own())
    write_template("structure", foreign, TEMPLATE)
    assert not folder.exists()
    write_template("structure", NETWORK, TEMPLATE)
    assert read_template("structure", foreign) is None
    assert read_template("", NETWORK) is None


@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_damaged_file_counts_as_none(folder: Path, keep: int):
    write_template("structure", NETWORK, TEMPLATE)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    assert read_template("structure", NETWORK) is None
    write_template("structure", NETWORK, TEMPLATE)
    assert read_template("structure", NETWORK) == TEMPLATE


def test_a_changed_graph_counts_as_none(folder: Path):
    write_template("structure", NETWORK, TEMPLATE)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"a graph", b"another"))
    assert read_template("structure", NETWORK) is None


def test_an_unwritable_cache_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write_template("structure", NETWORK, TEMPLATE)
    assert read_template("structure", NETWORK) is None


def test_without_a_home_folder_there_are_none(monkeypatch: pytest.MonkeyPatch):
    """As for a user of a container that has a number and no name."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    write_template("structure", NETWORK, TEMPLATE)
    assert read_template("structure", NETWORK) is None


def test_the_oldest_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(template_files, "_MOST", 2)
    for age, structure in enumerate("abc"):
        write_template(structure, NETWORK, TEMPLATE)
        if age < 2:
            newest = max(folder.iterdir(), key=lambda one: one.stat().st_mtime)
            os.utime(newest, (age, age))
    assert [read_template(one, NETWORK) is None for one in "abc"] == [True, False, False]
