"""Known defects, further good parts, and a run that can be taught them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flawmap
from flawmap.demonstration.drawing import draw_dataset
from flawmap.training.steps.loop import Loop
from methods.taught import registered

Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def taught() -> Iterator[str]:
    """The name of a method with a head that trains and exports quickly."""
    with registered() as name:
        yield name


@pytest.fixture(scope="module")
def options(taught: str, tiny_textures: Path) -> dict[str, Any]:
    few = {"steps": 8, "batch_size": 4, "size": (64, 64), "textures": tiny_textures}
    return {"method": taught, "teacher": "pocket", "rotate": "slight", **few}


@pytest.fixture(scope="session")
def known_defects(once: Once, tiny_data: Path) -> Path:
    """Three of the defects of ``tiny_data``, each a type; the chip has no mask."""

    def make(folder: Path) -> None:
        for kind in ("crack", "scratch", "chip"):
            (image,) = (tiny_data / "test" / kind).iterdir()
            (folder / kind).mkdir()
            shutil.copy(image, folder / kind)
            if kind != "chip":
                (mask,) = (tiny_data / "ground_truth" / kind).iterdir()
                (folder / "masks" / kind).mkdir(parents=True)
                shutil.copy(mask, folder / "masks" / kind / image.name)

    return once("known-defects", make)


@pytest.fixture(scope="session")
def rejected(once: Once) -> Path:
    """Three good parts that the run has not seen."""

    def make(folder: Path) -> None:
        counts = {"train_good": 3, "test_good": 1, "defective_per_type": 1}
        draw_dataset(folder / "drawn", 7, size=96, **counts)
        shutil.copytree(folder / "drawn" / "train" / "good", folder / "good")
        shutil.rmtree(folder / "drawn")

    return once("rejected", make)


@pytest.fixture(scope="module")
def parent(once: Once, tiny_data: Path, options: dict[str, Any]) -> Path:
    """A run trained on good parts alone. Do not change it."""
    return (
        once("parent", lambda folder: flawmap.train(tiny_data, folder / "run", **options)) / "run"
    )


@pytest.fixture
def parent_copy(parent: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parent, tmp_path / "parent"))


@pytest.fixture
def stopped_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """A context in which training stops once this step is done, as by a signal."""

    def at(step: int) -> Any:
        from unittest import mock

        whole = Loop.step

        def one(self: Loop, phase: Any, optimisers: Any, number: int, compute: Any = None) -> Any:
            if number == step - 1:
                self._stop.set()
            return whole(self, phase, optimisers, number, compute)

        return mock.patch.object(Loop, "step", one)

    return at
