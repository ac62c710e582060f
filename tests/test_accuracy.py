"""The demo at reduced size still finds its defects: a guard against silent loss of accuracy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
GUARD = json.loads((BENCHMARKS / "results" / "guard.json").read_text(encoding="utf-8"))


@pytest.mark.long  # make test has others that learn from anomalies: losses of unseen batches fall
@pytest.mark.slow  # (steps/test_loop.py), and defects are rejected (choices/test_outliers.py)
def test_the_small_demo_is_as_accurate_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds come from the spread over seeds in guard.json, so that noise does not reach them."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from guard import measure

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = measure(tmp_path)
    finally:
        torch.set_num_threads(threads)
    for name, value in found.items():
        assert value >= GUARD["spread"][name]["bound"], (name, value, GUARD["spread"][name])


@pytest.mark.parametrize("name", sorted(set(GUARD["broken"]) - {"masks beside the anomalies"}))
def test_the_bounds_tell_noise_from_a_broken_training(name: str) -> None:
    """Every seed lies above both bounds, each broken training below at least one of them."""
    bounds = {figure: spread["bound"] for figure, spread in GUARD["spread"].items()}
    for one in GUARD["seeds"].values():
        assert all(one[figure] > bound for figure, bound in bounds.items())
    broken = GUARD["broken"][name]
    assert any(broken[figure] < bound for figure, bound in bounds.items())
