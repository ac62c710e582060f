from __future__ import annotations

from pathlib import Path

import pytest

import flawmap
from flawmap.errors import UsageError


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that demos drew into, until they were stopped there."""
    folders: list[Path] = []

    def draw(folder: Path, seed: int) -> None:
        folders.append(folder)
        folder.mkdir(exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("flawmap.demonstration.demo.draw_dataset", draw)
    return folders


def test_a_demo_refuses_a_folder_of_other_files(tmp_path: Path, drawn: list[Path]):
    (tmp_path / "data" / "train" / "good").mkdir(parents=True)
    (tmp_path / "data" / "train" / "good" / "000.png").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty and not an unfinished demo.* another --out"):
        flawmap.demo(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        flawmap.demo(tmp_path / "data" / "train" / "good" / "000.png")
    assert not drawn


def test_a_demo_that_was_stopped_goes_on_with_its_seed_alone(tmp_path: Path, drawn: list[Path]):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            flawmap.demo(tmp_path / "demo")
    assert drawn == [tmp_path / "demo" / "data"] * 2
    with pytest.raises(UsageError, match="another --seed"):
        flawmap.demo(tmp_path / "demo", seed=1)
