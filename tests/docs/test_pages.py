"""Every code block of the README and the documentation runs, page by page, in order.

A block that cannot run here stands below ``<!-- not run: why -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from data.layouts.trees import PART
from docs.blocks import PAGES, ROOT, Block, blocks, commands
from docs.sandbox import fill, link_run
from docs.shell import Shell
from flawmap.benchmark.grid import read_grid
from flawmap.data.layouts import open_dataset

WITH_BLOCKS = [page for page in PAGES if any(block.reason is None for block in blocks(page))]
LONG = re.compile(r"^flawmap (train|demo|export|bench \S+\.yaml)\b", re.MULTILINE)
NOT_RUN = [
    ("README.md", "installs packages from the network"),
    ("README.md", "runs until it is stopped"),
    ("at-the-line.md", "installs packages from the network"),
    ("backbones.md", "downloads weights from the network"),
    ("backbones.md", "takes minutes; tests/training/distillation runs it"),
    ("forty-products.md", "trains forty products"),
    (
        "gpu.md",
        "torchrun starts processes of its own; tests/training/steps/test_ranks.py runs such lines",
    ),
    ("grids.md", "needs a Ray cluster; tests/benchmark/workers runs one"),
    (
        "grids.md",
        "trains thirty settings; tests/benchmark/test_search.py runs such a search",
    ),
    ("images.md", "installs packages from the network"),
    ("learn-from-defects.md", "a folder of defects; tests/data/layouts/test_defects.py reads such"),
    (
        "learn-from-defects.md",
        "trains; tests/training/refining does the same with a smaller network",
    ),
    (
        "learn-from-defects.md",
        "trains; tests/training/refining does the same with a smaller network",
    ),
    ("learn-from-defects.md", "what refine prints; tests/cli/test_refine.py reads it"),
    (
        "learn-from-defects.md",
        "trains; tests/training/known_defects does the same with a smaller network",
    ),
    ("memory.md", "a line that training prints"),
    ("million-images.md", "a bucket of your own; tests/inspection/many/test_s3.py reads one"),
    (
        "million-images.md",
        "machines of your own; tests/inspection/many/test_ray.py starts a cluster of two nodes",
    ),
    ("other-languages.md", "needs Node and the network; tests/languages runs the program"),
    (
        "improve.md",
        "needs a station that runs; tests/station/improve calls these addresses",
    ),
    ("index.md", "installs packages from the network"),
    (
        "plc-and-messages.md",
        "needs a running station; tests/station/delivery creates links and receives their messages",
    ),
    ("plc-and-messages.md", "needs a running station; tests/station/opcua reads it with a client"),
    ("plc-and-messages.md", "needs a camera; tests/station/intake/camera reads a video"),
    (
        "thresholds-and-trends.md",
        "needs a station that runs; tests/station/insight calls these addresses",
    ),
    (
        "inspect-over-http.md",
        "needs a running station; tests/station/api/test_docs.py runs this page against one",
    ),
    ("inspect-over-http.md", "an answer"),
    (
        "inspect-over-http.md",
        "starts a server that does not end; tests/station/intake/test_folders.py watches folders",
    ),
    (
        "inspect-over-http.md",
        "needs a running station; tests/station/intake/test_folders.py does the same",
    ),
    (
        "inspect-over-http.md",
        "needs a running station and tritonclient[http]; tests/station/api/test_docs.py runs it",
    ),
    ("backup-and-restore.md", "tests/station/database/test_backup.py runs it"),
    (
        "backup-and-restore.md",
        "needs a PostgreSQL server; tests/station/database/test_backup.py runs it on one",
    ),
    ("postgresql.md", "needs a PostgreSQL server; tests/station runs against one"),
    ("retention.md", "needs a running station and a key"),
    ("tutorial.md", "runs until it is stopped"),
    ("tutorial.md", "needs a running station and a key"),
    ("users-and-proxy.md", "needs a running station; tests/station/access/test_keys.py uses keys"),
    (
        "users-and-proxy.md",
        "starts a server that does not end; tests/station/test_first_start.py starts one",
    ),
    ("users-and-proxy.md", "tests/station/test_proxy.py runs nginx with it"),
    (
        "users-and-proxy.md",
        "Caddy is not installed where the tests run; nobody has tried this block",
    ),
    (
        "users-and-proxy.md",
        "Traefik is not installed where the tests run; nobody has tried this block",
    ),
    ("suite.md", "needs the suite's data sets and hours of training"),
    ("tutorial.md", "installs packages from the network"),
]


def _marks(page: Path) -> list[pytest.MarkDecorator]:
    """How long a page takes: other pages or tests run the verbs of those that are `long`, too."""
    if page.name in ("grids.md", "synthesis.md", "at-the-line.md", "tutorial.md"):
        return [pytest.mark.long, pytest.mark.slow]
    return [pytest.mark.slow] if LONG.search(page.read_text("utf-8")) else []


@pytest.fixture
def sandbox(
    tmp_path: Path, tiny_data: Path, tiny_textures: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a page, which is the current one."""
    fill(tmp_path, tiny_data)
    (tmp_path / "textures").symlink_to(tiny_textures)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """Runs of earlier pages, by the line that trained them."""
    return {}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tiny_data: Path, trained: dict[str, Path]) -> Shell:
    return Shell(monkeypatch, tiny_data, trained)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=page.relative_to(ROOT).as_posix(),
            marks=_marks(page),
        )
        for page in WITH_BLOCKS
    ],
)
def test_a_pages_blocks_run(page: Path, sandbox: Path, tiny_run: Path, shell: Shell) -> None:
    here = [block for block in blocks(page) if block.reason is None]
    if not re.search(r"^flawmap train .*--out run\b", page.read_text("utf-8"), re.MULTILINE):
        link_run(tiny_run, sandbox / "run")
    kinds: dict[str, Callable[[Block], object]] = {
        "sh": lambda block: [shell.run(line) for line in commands(block.text)],
        "python": lambda block: exec(compile(block.text, page.name, "exec"), {}),
        "json": lambda block: [json.loads(line) for line in block.text.splitlines()],
        "yaml": _read_grid,
        "text": _plant_tree,
    }
    for block in here:
        assert block.language in kinds, f"{page.name}:{block.line}: a language nobody runs"
        kinds[block.language](block)


def _read_grid(block: Block) -> None:
    """A grid, whose first line is a comment with the name of its file."""
    name = block.text.split()[1].strip(":")
    Path(name).write_text(block.text, encoding="utf-8")
    assert read_grid(Path(name)).cells()


def _plant_tree(block: Block) -> None:
    """A tree of folders of images is recognised as a data set."""
    names = [re.sub(r"[│├└─\s]+", "", line.split("  ")[0]) for line in _branches(block.text)]
    assert names, f"line {block.line}: text that is no tree; say why it does not run"
    root = Path("tree")
    for name in names:
        path = root / name / "1.png" if name.endswith("/") else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            path.write_bytes(PART)
    dataset = open_dataset(root)
    assert (dataset.layout, len(dataset.good_train)) == ("folder", 1)
    assert dataset.defective_test


def _branches(text: str) -> list[str]:
    return [line.replace("── ", "") for line in text.splitlines() if "──" in line]


def test_few_blocks_do_not_run_and_say_why() -> None:
    marked = [
        (page.name, block.reason)
        for page in PAGES
        for block in blocks(page)
        if block.reason is not None
    ]
    assert sorted(marked) == sorted(NOT_RUN)
