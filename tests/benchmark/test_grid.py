from __future__ import annotations

from pathlib import Path

import pytest

from flawmap.benchmark.ablation import ABLATIONS
from flawmap.benchmark.grid import Grid, check_grid, read_grid
from flawmap.errors import UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("screw", "toothbrush", ".hidden"):
        (tmp_path / "mvtec" / name).mkdir(parents=True)
    (tmp_path / "mvtec" / "README.md").touch()
    return tmp_path / "mvtec"


def test_every_combination_one_seed_after_the_other(data: Path):
    grid = Grid(data=data, teacher=("pocket", "resnet18"), seed=(0, 1))
    cells = grid.cells()
    assert [(c.seed, c.category, c.teacher) for c in cells] == [
        (seed, category, teacher)
        for seed in (0, 1)
        for category in ("screw", "toothbrush")
        for teacher in ("pocket", "resnet18")
    ]
    assert {(c.method, c.preset, c.dataset) for c in cells} == {("destseg", "fast", "mvtec")}
    assert len({c.name for c in cells}) == len(cells)


def test_names_are_file_names(data: Path):
    grid = Grid(data=data, category="screw", teacher="/weights of mine/resnet18 v1.safetensors")
    (cell,) = grid.cells()
    assert cell.name == "mvtec-screw-destseg-fast-resnet18_v1-0"


def test_yaml_with_single_values_and_paths_from_its_folder(data: Path):
    path = data.parent / "grid.yaml"
    path.write_text(
        "data: mvtec\ncategory: screw\nseed: [3, 4]\nrotate: none\nsteps: 20\ntextures: dtd\n"
    )
    grid = read_grid(path)
    assert grid.seed == (3, 4)
    first, second = grid.cells()
    assert first.data == data / "screw"
    assert (first.seed, second.seed) == (3, 4)
    assert first.options.arguments() == [
        "--textures", str(data.parent / "dtd"), "--rotate", "none", "--steps", "20",
    ]  # fmt: skip


def test_options_left_out_are_left_to_train(data: Path):
    assert Grid(data=data).cells()[0].options.arguments() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: mvtec\nsteps: 1\n", "steps: input should be greater"),
        ("data: mvtec\nseeds: [1]\n", "seeds: extra inputs"),
        ("data: mvtec\nseed: [-1]\n", "seed.0: input should be greater"),
        ("data: mvtec\nteacher: []\n", "teacher: "),
        ("category: [screw]\n", "data: field required"),
        ("- screw\n", "is no grid"),
        ("", "is no grid"),
        ("data: [screw\n", "is no YAML"),
    ],
)
def test_what_does_not_fit_is_named(data: Path, text: str, said: str):
    path = data.parent / "grid.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"grid\.yaml") as caught:
        read_grid(path)
    assert said in str(caught.value)


def test_missing_file_and_bytes_that_are_no_text(tmp_path: Path):
    with pytest.raises(UsageError, match="Cannot read"):
        read_grid(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="Cannot read"):
        read_grid(tmp_path / "bad.yaml")


def test_unknown_category_lists_what_is_there(data: Path):
    with pytest.raises(UsageError, match="has no pill; it has screw, toothbrush"):
        Grid(data=data, category=("screw", "pill")).cells()


def test_data_that_is_no_folder_or_empty(tmp_path: Path):
    with pytest.raises(UsageError, match="is no folder"):
        Grid(data=tmp_path / "none").cells()
    with pytest.raises(UsageError, match="no folder of a category"):
        Grid(data=tmp_path).cells()


def test_flags_are_checked_the_same_way():
    with pytest.raises(UsageError, match=r"^The grid: steps: "):
        check_grid({"data": ".", "steps": 0}, "The grid")


def test_variants_are_an_axis(data: Path):
    variant = {"": {}, "no L1": {"changes": {"l1_weight": 0.0}}, "DeST": {"distances": [1, 2, 3]}}
    cells = check_grid({"data": data, "category": "screw", "variant": variant}, "here").cells()
    assert [(c.variant, c.what.changes) for c in cells] == [
        ("", {}), ("no L1", {"l1_weight": 0.0}), ("DeST", {}),
    ]  # fmt: skip
    assert [c.what.distances for c in cells] == [(), (), (1, 2, 3)]
    assert [c.trained_as for c in cells] == ["", "no L1", ""], "a read-out needs no training"
    assert [c.name for c in cells] == [
        "mvtec-screw-destseg-fast-pocket-0", "mvtec-screw-destseg-fast-no_L1-pocket-0",
        "mvtec-screw-destseg-fast-DeST-pocket-0",
    ]  # fmt: skip


def test_every_row_of_the_ablation_has_its_own_name(data: Path):
    cells = Grid(data=data, category="screw", variant=ABLATIONS["destseg"]).cells()
    assert len({cell.name for cell in cells}) == len(ABLATIONS["destseg"])
