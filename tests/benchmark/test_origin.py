"""Teachers and data by content: the same on every machine, and nothing else taken for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawmap.benchmark.origin import origin_of


def written(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    written(tmp_path / "v1" / "screw" / "train" / "good" / "0.png", "good")
    written(tmp_path / "v1" / "screw" / "test" / "bent" / "0.png", "bent")
    return tmp_path / "v1" / "screw"


@pytest.mark.parametrize("changed", ["train/good/0.png", "train/good/1.png", "masks.json"])
def test_other_data_of_the_same_name(data: Path, tmp_path: Path, changed: str) -> None:
    other = tmp_path / "v2" / "screw"
    for path in data.rglob("*.png"):
        written(other / path.relative_to(data), path.read_text())
    assert origin_of(other, "pocket") == origin_of(data, "pocket")
    written(other / changed, "gold")
    assert origin_of(other, "pocket")["data"] != origin_of(data, "pocket")["data"]


def test_data_behind_links_count_and_system_files_do_not(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "v2" / "screw"
    other.mkdir(parents=True)
    for name in ("train", "test"):
        (other / name).symlink_to(data / name)
    expected = origin_of(data, "pocket")
    assert origin_of(other, "pocket") == expected
    written(data / "train" / ".DS_Store")
    written(data / "Thumbs.db")
    assert origin_of(data, "pocket") == expected


@pytest.mark.parametrize("prefix", ["", "timm:resnet18.a1_in1k@"])
def test_weights_files_by_content(data: Path, tmp_path: Path, prefix: str) -> None:
    paths = [tmp_path / name / "x.safetensors" for name in ("a", "b", "c")]
    for path, content in zip(paths, ("one", "other", "one"), strict=True):
        written(path, content)
    a, b, c = (origin_of(data, f"{prefix}{path}")["teacher"] for path in paths)
    assert a == c != b
    assert a.startswith(prefix)
    assert str(tmp_path) not in a, "a path of one machine"


def test_names_as_they_are(data: Path) -> None:
    for name in ("pocket", "timm:resnet18.a1_in1k", "timm:resnet18.tv_in1k"):
        assert origin_of(data, name)["teacher"] == name
