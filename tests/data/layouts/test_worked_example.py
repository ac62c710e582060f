"""CONTRIBUTING's data layout, added to a copy of the package as it says: one file and one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import flawmap

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## A data layout of your own\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a copy of flawmap with the layout."""
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (file,) = re.findall(r"^`src/(.*?)`:$", SECTION, re.MULTILINE)
    known, before, line = re.search(
        r"The line in `(.*?)`, above `(.*?)`.*?: `(.*?)`\.", SECTION, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    folder = tmp_path_factory.mktemp("package")
    copied = folder / "flawmap"
    source = Path(flawmap.__file__).parent
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / file).write_text(code, encoding="utf-8")
    names = copied / known
    lines = names.read_text(encoding="utf-8")
    assert lines.count(f"    {before},\n") == 1
    added = lines.replace(f"    {before},\n", f"    {line}\n    {before},\n")
    names.write_text(added, encoding="utf-8")
    return folder


def run(package: Path, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flawmap", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(package), "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def listed(tiny_data: Path, tmp_path: Path) -> Path:
    """The drawn product, with its images in one folder and its labels in a table."""
    root = tmp_path / "listed"
    (root / "shots").mkdir(parents=True)
    rows = ["image,split,defect"]
    for image in sorted([*tiny_data.glob("train/*/*.png"), *tiny_data.glob("test/*/*.png")]):
        kind, split = image.parent.name, image.parts[-3]
        name = f"shots/{split}_{kind}_{image.name}"
        shutil.copy(image, root / name)
        rows.append(f"{name},{split},{'' if kind == 'good' else kind}")
    (root / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return root


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_it_is_listed(package: Path, verb: str) -> None:
    assert "labels_csv" in run(package, verb, "--help")


def test_a_folder_is_recognised(
    package: Path, listed: Path, run_copy: Path, tmp_path: Path
) -> None:
    said = run(package, "evaluate", run_copy, listed, "--json", tmp_path / "metrics.json")
    assert "images listed in labels.csv: 10 good to train on; 3 good and 6 defective" in said
    found = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert found["images"] == 9
