"""What the README and the documentation say is what happens."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import flawmap

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def test_every_verb_is_shown() -> None:
    """Each command of the command line stands in a block of a page; tests/docs runs the blocks."""

    from docs.blocks import PAGES as SHOWN
    from docs.blocks import blocks, commands
    from flawmap.cli import app

    lines = [
        line
        for page in SHOWN
        for block in blocks(page)
        if block.language == "sh"
        for line in commands(block.text)
    ]
    shown = {line.split()[1] for line in lines if line.startswith("flawmap ")}
    assert shown == set(app.commands) | {"--version"}


def test_its_make_targets_are_real() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert set(re.findall(r"\bmake ([a-z]+)", README)) <= set(targets)


@pytest.mark.parametrize(
    ("page", "maker"),
    [
        ("README.md", "render_brief"),
        ("docs/results.md", "render"),
        ("docs/ablations.md", "render_ablations"),
        ("docs/fast.md", "render_guidance"),
        ("docs/line.md", "render_line"),
        ("docs/memory.md", "render_memory"),
        ("docs/million-images.md", "render_many"),
        ("docs/metrics.md", "render_metrics"),
        ("docs/synthesis.md", "render_families"),
    ],
)
def test_tables_are_made_from_the_results(
    page: str, maker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A results section is what benchmarks/tables.py makes of benchmarks/results."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = getattr(importlib.import_module("tables"), maker)()
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"benchmarks/tables.py -->\n{made}<!-- end of results -->" in text


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_linked_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:benchmarks|docs|examples|src|tests|tools)/[\w./-]+)`", text)
    assert [path for path in linked if not (page.parent / path).exists()] == []
    made = re.compile("squeeze|labels_csv|stripes")  # CONTRIBUTING's examples make these
    absent = {path for path in named if not made.search(path) and not (ROOT / path).exists()}
    assert absent == set()


def test_the_map_of_folders_is_true() -> None:
    """CONTRIBUTING names folders and modules that exist, and every package."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"```text\nsrc/flawmap/\n(.*?)^tools/", text, re.DOTALL | re.MULTILINE)
    folder, shown = ROOT / "src" / "flawmap", set()
    here = top = folder
    for line in tree.splitlines():
        entry = re.match(r"(│   |    )?[├└]── (\S+)", line)
        if entry and entry[2].endswith("/"):
            here = (top if entry[1] else folder) / entry[2]
            top = top if entry[1] else here
            shown.add(here.relative_to(folder).as_posix())
        elif entry:
            assert (folder / entry[2]).is_file(), line
            continue
        absent = [name for name in re.findall(r"(\w+\.py)\b", line) if not (here / name).is_file()]
        assert absent == [], here
        assert here.is_dir()
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert packages <= shown


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 120


def test_the_site_has_every_page() -> None:
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    named = re.findall(r'= "([\w/-]+\.md)"', navigation)
    assert sorted(named) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in DOCS)


def test_the_reference_of_the_command_line_is_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    cli_reference = importlib.import_module("cli_reference")
    assert (ROOT / "docs" / "reference-cli.md").read_text("utf-8") == cli_reference.render()


def test_the_reference_of_python_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference-python.md").read_text(encoding="utf-8")
    listed = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)", page, re.M)}
    assert set(flawmap.__all__) <= listed | {"FlawmapError", "UsageError"}
