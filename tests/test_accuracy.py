"""The demo at reduced size still finds its defects: a guard against silent loss of accuracy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flawmap import Inspector
from flawmap.product.camera import Shot, photograph
from flawmap.product.drawing import Product

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
GUARD = json.loads((BENCHMARKS / "results" / "guard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    """The figures of the small demo, and its folder: ``data`` and ``run``."""
    folder = tmp_path_factory.mktemp("guard")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(BENCHMARKS))
            from guard import measure

            return measure(folder), folder
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_small_demo_is_as_accurate_as_it_was(measured: tuple[dict[str, float], Path]) -> None:
    """Bounds come from the spread over seeds in guard.json, so that noise does not reach them."""
    for name, value in measured[0].items():
        assert value >= GUARD["spread"][name]["bound"], (name, value, GUARD["spread"][name])


def misplaced(wrong: str, number: int) -> np.ndarray:
    """A photograph of the small demo's product, all of whose structures are good ones."""
    product = Product.from_seed(0, 128)
    shot = Shot.sample(np.random.default_rng(number), product.scene)
    surface = product.surface.copy()
    if wrong == "missing":
        surface.part[:] = 0.0
    elif wrong == "turned":
        shot = replace(shot, angle=shot.angle + np.pi / 2)
    elif wrong == "doubled":
        beside = np.roll(surface.part, surface.part.shape[1] // 3, 1)
        for name in ("height", "albedo", "gloss", "grain"):
            layer = getattr(surface, name)
            layer[beside > 0.5] = np.roll(layer, layer.shape[1] // 3, 1)[beside > 0.5]
        surface.part = np.maximum(surface.part, beside)
    picture = photograph(surface, product.scene, shot)
    return np.rint(picture).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [("nothing", "good"), ("missing", "reject"), ("turned", "reject"), ("doubled", "reject")],
)
def test_a_part_that_is_missing_turned_or_doubled_is_rejected(
    wrong: str, verdict: str, measured: tuple[dict[str, float], Path]
) -> None:
    inspector = Inspector.load(measured[1] / "run")
    verdicts = [inspector.inspect(misplaced(wrong, number)).verdict for number in range(3)]
    assert verdicts.count(verdict) >= (2 if wrong == "nothing" else 3)


@pytest.mark.parametrize("name", sorted(set(GUARD["broken"]) - {"masks beside the anomalies"}))
def test_the_bounds_tell_noise_from_a_broken_training(name: str) -> None:
    """Every seed lies above both bounds, each broken training below at least one of them."""
    bounds = {figure: spread["bound"] for figure, spread in GUARD["spread"].items()}
    for one in GUARD["seeds"].values():
        assert all(one[figure] > bound for figure, bound in bounds.items())
    broken = GUARD["broken"][name]
    assert any(broken[figure] < bound for figure, bound in bounds.items())
