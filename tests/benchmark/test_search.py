"""Searches over the suite, with a stand-in for trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flawmap.benchmark import search as module
from flawmap.benchmark.grid import Grid, Range, Search, check_grid
from flawmap.benchmark.search import search
from flawmap.errors import FlawmapError, UsageError

pytest.importorskip("optuna", reason="needs Optuna (extra search)")

RANGES = {
    "focal_gamma": Range(low=0.0, high=8.0),
    "steps": Range(low=100, high=1000, integer=True),
    "rate": Range(low=1e-4, high=1e-1, log=True),
    "head_widths": Range(choice=((8, 8, 8), (16, 32, 48))),
}


class Suite:
    """Measures a smooth function of the settings: best at focal_gamma 3 with wide heads."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.tried: list[dict[str, object]] = []

    def __call__(self, grid: Grid) -> list[Path]:
        ((name, variant),) = grid.variant.items()
        self.tried.append(variant.changes)
        wide = variant.changes.get("head_widths") == [16, 32, 48]
        value = 1 - (variant.changes["focal_gamma"] - 3) ** 2 / 25 + 0.1 * wide
        files = []
        for category, extra in (("gear", 0.0), ("cap", 0.2)):
            path = self.out / f"{category}-{name}.json"
            figures = {"pixel_ap": value + extra, "iap": None}
            result = {"dataset": "d", "category": category, "figures": figures}
            path.write_text(json.dumps(result), encoding="utf-8")
            files.append(path)
        return files


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    for name in ("gear", "cap"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return Grid(data=tmp_path / "data")


def test_it_finds_what_is_best_and_says_how_many_were_compared(grid: Grid, tmp_path: Path):
    suite, said = Suite(tmp_path), []
    files = search(grid, Search(ranges=RANGES, trials=25), suite, tmp_path, said.append)
    assert len(files) == 50
    for changes in suite.tried:
        assert 0 <= changes["focal_gamma"] <= 8
        assert isinstance(changes["steps"], int)
        assert 1e-4 <= changes["rate"] <= 1e-1
        assert changes["head_widths"] in ([8, 8, 8], [16, 32, 48])
    state = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    best = max(state["trials"], key=lambda trial: trial["value"])
    assert abs(best["changes"]["focal_gamma"] - 3) < 1
    assert said[-6].startswith(f"trial-{state['trials'].index(best):03d}: pixel_ap")
    assert "25 settings were compared on 2 product(s)" in said[-1]


def test_it_goes_on_where_it_was_stopped(grid: Grid, tmp_path: Path):
    class Stopping(Suite):
        def __call__(self, grid: Grid) -> list[Path]:
            if len(self.tried) == 3:
                raise KeyboardInterrupt
            return super().__call__(grid)

    asked = Search(ranges=RANGES, trials=6)
    first = Stopping(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        search(grid, asked, first, tmp_path, lambda text: None)
    second = Suite(tmp_path)
    search(grid, asked, second, tmp_path, lambda text: None)
    (whole := tmp_path / "whole").mkdir()
    unbroken = Suite(whole)
    search(grid, asked, unbroken, whole, lambda text: None)
    assert second.tried == unbroken.tried
    assert second.tried[:3] == first.tried
    more = asked.model_copy(update={"trials": 8})
    third = Suite(tmp_path)
    search(grid, more, third, tmp_path, lambda text: None)
    assert third.tried[:6] == unbroken.tried
    other = asked.model_copy(update={"seed": 1})
    with pytest.raises(UsageError, match="another search"):
        search(grid, other, third, tmp_path, lambda text: None)


def test_one_product_is_said(grid: Grid, tmp_path: Path):
    said: list[str] = []
    one = grid.model_copy(update={"category": ("gear",)})
    search(one, Search(ranges=RANGES, trials=1), Suite(tmp_path), tmp_path, said.append)
    assert "one product" in said[0]


def test_what_makes_no_sense_is_refused(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def run(**changes: object) -> None:
        asked = Search(ranges=RANGES, trials=1).model_copy(update=changes)
        search(grid, asked, Suite(tmp_path), tmp_path, lambda text: None)

    with pytest.raises(UsageError, match="No metric 'speed': choose from image_auroc"):
        run(objective="speed")
    with pytest.raises(FlawmapError, match="iap is not defined on gear"):
        run(objective="iap")
    monkeypatch.setattr(
        module, "need", lambda *_: (_ for _ in ()).throw(FlawmapError("flawmap[search]"))
    )
    with pytest.raises(FlawmapError, match=r"flawmap\[search\]"):
        run()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"low": 2, "high": 1}, "the lower first"),
        ({"low": 0, "high": 1, "log": True}, "low above 0"),
        ({"low": 0, "high": 1, "choice": [1]}, "not both"),
        ({}, "low and high"),
    ],
)
def test_a_range_that_makes_no_sense(tmp_path: Path, given: dict[str, object], reason: str):
    values = {"data": tmp_path, "search": {"ranges": {"focal_gamma": given}}}
    with pytest.raises(UsageError, match=f"search.ranges.focal_gamma.*{reason}"):
        check_grid(values, "grid.yaml")


def test_a_search_replaces_variants(tmp_path: Path):
    values = {
        "data": tmp_path,
        "variant": {"a": {}},
        "search": {"ranges": {"focal_gamma": {"low": 1, "high": 2}}},
    }
    with pytest.raises(UsageError, match="replaces variant"):
        check_grid(values, "grid.yaml")
