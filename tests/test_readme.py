"""What the README and the documentation say is what happens."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flawmap

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def blocks(language: str) -> list[str]:
    """Of the README and of every page of the documentation."""
    texts = [README, *(page.read_text(encoding="utf-8") for page in DOCS)]
    fenced = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [block for text in texts for block in fenced.findall(text)]


def test_its_python_runs(
    tiny_run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "new_pictures").mkdir()
    shutil.copy(photographs / "part2.png", tmp_path / "new_pictures" / "part.png")
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("good", "review", "reject")


def test_its_commands_are_real() -> None:
    import click

    from flawmap.cli import app

    verbs = app.commands
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    used = [line.split("#")[0].split() for line in lines if line.startswith("flawmap ")]
    assert {words[1] for words in used} == {
        "train",
        "predict",
        "calibrate",
        "regions",
        "judge",
        "drift",
        "evaluate",
        "export",
        "info",
        "demo",
        "bench",
        "--version",
    }
    for words in used:
        if words[1] == "--version":
            continue
        verb = verbs[words[1]]
        if isinstance(verb, click.Group):
            verb = verb.commands.get(words[2], verb.commands["grid"])
        options = {name for p in verb.get_params(click.Context(verb)) for name in p.opts}
        assert {w for w in words if w.startswith("--")} <= options


def test_its_grid_is_read(tmp_path: Path) -> None:
    from flawmap.benchmark.grid import read_grid

    (text,) = blocks("yaml")
    for name in ("screw", "toothbrush"):
        (tmp_path / "mvtec_ad" / name).mkdir(parents=True)
    (tmp_path / "grid.yaml").write_text(text, encoding="utf-8")
    assert len(read_grid(tmp_path / "grid.yaml").cells()) == 2 * 2 * 1 * 3


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
        ("docs/metrics.md", "render_metrics"),
        ("docs/synthesis.md", "render_families"),
    ],
)
def test_tables_are_made_from_the_results(page: str, maker: str) -> None:
    """A results section is what benchmarks/tables.py makes of benchmarks/results."""
    made = subprocess.run(
        [sys.executable, "-c", f"import tables; print(tables.{maker}(), end='')"],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        check=True,
    )
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"benchmarks/tables.py -->\n{made.stdout}<!-- end of results -->" in text


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_linked_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:benchmarks|docs|examples|src|tests|tools)/[\w./-]+)`", text)
    assert [path for path in linked if not (page.parent / path).exists()] == []
    absent = {path for path in named if not (ROOT / path).exists()}
    to_be_made = {path for path in absent if "squeeze" in path or "stripes" in path}
    assert absent == to_be_made, "CONTRIBUTING's examples alone name files to be made"


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 120


def test_the_site_has_every_page() -> None:
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    named = re.findall(r'= "([\w-]+\.md)"', navigation)
    assert sorted(named) == [page.name for page in DOCS]


def test_the_reference_of_the_command_line_is_its_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    cli_reference = importlib.import_module("cli_reference")
    assert (ROOT / "docs" / "reference-cli.md").read_text("utf-8") == cli_reference.render()


def test_the_reference_of_python_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference-python.md").read_text(encoding="utf-8")
    listed = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)", page, re.M)}
    assert set(flawmap.__all__) <= listed | {"FlawmapError", "UsageError"}
