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


@pytest.mark.parametrize(
    ("teacher", "label"),
    [
        ("pocket", "pocket"),
        ("weights/resnet18.v2.safetensors", "resnet18.v2"),
        ("weights/resnet18.PTH", "resnet18"),
        ("weights/resnet18.v2", "resnet18.v2"),
        ("timm:resnet18.a1_in1k", "timm:resnet18.a1_in1k"),
        ("timm:org/resnet18.tv_in1k", "timm:org/resnet18.tv_in1k"),
        ("timm:resnet18.a1_in1k@my/w.1.safetensors", "timm:resnet18.a1_in1k@w.1"),
    ],
)
def test_only_weights_files_lose_folder_and_suffix(data: Path, teacher: str, label: str):
    (cell,) = Grid(data=data, category="screw", teacher=teacher).cells()
    assert cell.teacher_label == label


def test_two_weights_of_one_network_have_two_names(data: Path):
    teachers = ("timm:resnet18.a1_in1k", "timm:resnet18.tv_in1k")
    first, second = Grid(data=data, category="screw", teacher=teachers).cells()
    assert first.name == "mvtec-screw-destseg-fast-timm_resnet18.a1_in1k-0"
    assert second.name == "mvtec-screw-destseg-fast-timm_resnet18.tv_in1k-0"


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
        ("data: mvtec\nproducts: [{data: mvtec}]\n", "yaml: products: each has data of its own"),
        ("products: []\n", "data: field required, or products"),
        ("products: {data: mvtec}\n", "products: "),
        ("products: [{data: mvtec}, {category: screw}]\n", "products.1.data: field required"),
        ("products: [{data: mvtec, size: 640}]\n", "products.0.size: "),
        ("products: [{data: mvtec, seed: 1}]\n", "products.0.seed: extra inputs"),
        ("- screw\n", "is not a grid"),
        ("", "is not a grid"),
        ("data: [screw\n", "is not valid YAML"),
    ],
)
def test_what_does_not_fit_is_named(data: Path, text: str, said: str):
    path = data.parent / "grid.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"grid\.yaml") as caught:
        read_grid(path)
    assert said in str(caught.value)


@pytest.fixture
def suite(data: Path) -> Path:
    """Three products of two folders, one with options of its own."""
    (data.parent / "mine" / "gear").mkdir(parents=True)
    path = data.parent / "grid.yaml"
    path.write_text(
        "size: 128x128\nseed: [0, 1]\nvariant: {base: {}, new: {changes: {smoothing: 1}}}\n"
        "products:\n  - data: mvtec\n"
        "  - {data: mine, category: gear, size: 640x256, textures: dtd, steps: 9}\n"
    )
    return path


def test_products_with_folders_and_options_of_their_own(suite: Path):
    cells = read_grid(suite).cells()
    assert [(c.seed, c.dataset, c.category, c.variant) for c in cells] == [
        (seed, dataset, category, variant)
        for seed in (0, 1)
        for dataset, category in (("mvtec", "screw"), ("mvtec", "toothbrush"), ("mine", "gear"))
        for variant in ("base", "new")
    ]
    screw, gear = cells[0], cells[4]
    assert screw.data == suite.parent / "mvtec" / "screw"
    assert screw.options.arguments() == ["--size", "128x128"]
    assert gear.options.arguments() == [
        "--textures", str(suite.parent / "dtd"), "--size", "640x256", "--steps", "9",
    ]  # fmt: skip


def test_some_of_the_products(suite: Path):
    grid = read_grid(suite)
    some = grid.model_copy(update={"category": ("gear", "screw"), "seed": (0,)})
    assert [c.category for c in some.cells()] == ["screw", "screw", "gear", "gear"]
    with pytest.raises(UsageError, match="There is no product pill; there are screw, toothbrush"):
        grid.model_copy(update={"category": ("pill",)}).cells()


def test_runs_of_one_name_are_refused(data: Path):
    twice = [{"data": data, "category": "screw"}, {"data": data, "size": "64x64"}]
    with pytest.raises(UsageError, match="2 runs of the grid would be named mvtec-screw-"):
        check_grid({"products": twice}, "here").cells()


@pytest.mark.realdata
def test_the_suite_is_six_products_of_three_seeds(shared_data: Path):
    root = Path(__file__).resolve().parents[2]
    values = read_grid(root / "benchmarks" / "suite.yaml").model_dump(exclude_defaults=True)
    for product in values["products"]:
        _, _, place = product["data"].as_posix().partition("shared/data")
        product["data"] = shared_data / place.strip("/")
    cells = check_grid(values, "the suite").cells()
    assert {(c.category, c.options.size) for c in cells} == {
        ("screw", None), ("toothbrush", None), ("transistor", None), ("kolektor_sdd", "640x256"),
        ("aitex_fabric_02", None), ("crackforest", None),
    }  # fmt: skip
    assert len(cells) == 18
    assert {(c.method, c.preset, c.teacher) for c in cells} == {("destseg", "fast", "pocket")}


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
    with pytest.raises(UsageError, match="is not a folder"):
        Grid(data=tmp_path / "none").cells()
    with pytest.raises(UsageError, match="contains no category folder"):
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
