from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flawmap.benchmark.published import DTD_TEXTURES, MVTEC_TRAINING_IMAGES, published
from flawmap.benchmark.table import group, read_results, render, spread
from flawmap.errors import UsageError
from flawmap.inspection.bundle.manifest import read_manifest
from flawmap.methods.registry import find_preset


def record(seed: int = 0, ap: float | None = 0.5, **changes: Any) -> dict[str, Any]:
    figures = {
        "image_auroc": 0.9, "image_ap": 0.95, "pixel_auroc": 0.985, "pixel_ap": ap,
        "pro": 0.9, "iap": 0.55, "iap90": 0.1,
    }  # fmt: skip
    return {
        "method": "destseg",
        "preset": "paper",
        "teacher": "resnet18",
        "dataset": "mvtec",
        "category": "screw",
        "seed": seed,
        "figures": figures,
        "seconds": {"train": 90.0},
        "training": {"images": 256, "held_out": 64, "skipped": 0, "texture_images": DTD_TEXTURES},
    } | changes


def table(*records: dict[str, Any]) -> list[list[str]]:
    lines = [line for line in render(records).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_seeds_become_mean_and_sample_deviation():
    head, _, row, *_ = table(record(0, 0.5), record(1, 0.6), record(2, 0.7))
    assert row[head.index("pixel AP")] == "60.0 ± 10.0"
    assert row[head.index("image AUROC")] == "90.0 ± 0.0"
    assert row[head.index("seeds")] == "3"
    assert row[head.index("training")] == "1.5 min"


@pytest.mark.parametrize(
    ("cores", "told"),
    [((1, 1), "1.5 min on 1 core"), ((2, 2), "1.5 min on 2 cores"),
     ((2, 1), "1.5 min on 1 to 2 cores")],
)  # fmt: skip
def test_training_on_a_processor_tells_its_cores(cores, told):
    records = [record(i, 0.5, device="cpu", hardware={"cores": n}) for i, n in enumerate(cores)]
    head, _, row, *_ = table(*records)
    assert row[head.index("training")] == told


def test_spread():
    assert spread([]) == "-"
    assert spread([0.5]) == "50.0"
    assert spread([0.1, 0.2]) == "15.0 ± 7.1"


def test_an_undefined_figure_is_a_dash_and_not_zero():
    head, _, row, paper, difference = table(record(0, None))
    assert row[head.index("pixel AP")] == "-"
    assert paper[head.index("pixel AP")] == "58.7 ± 3.7"
    assert difference[head.index("pixel AP")] == ""


def test_the_paper_stands_below_with_the_difference():
    head, _, _, paper, difference = table(record(0, 0.6))
    assert paper[1] == "as published"
    assert paper[head.index("IAP90")] == "8.6 ± 2.3"
    assert paper[head.index("image AUROC")] == "", "it is in the paper's supplement only"
    assert difference[head.index("pixel AP")] == "+1.3"
    assert difference[head.index("pixel AUROC")] == "+0.0"
    assert difference[head.index("IAP")] == "+1.4"


def test_seeds_of_another_configuration_are_another_row():
    _, _, *rows = table(
        record(0, configuration={"focal_gamma": 4.0}), record(1, configuration={"focal_gamma": 2.0})
    )
    assert [row[3] for row in rows if row[1].startswith("destseg")] == ["1", "1"]


@pytest.mark.parametrize(
    ("changed", "told", "marked"),
    [
        ({}, {}, False),
        ({"smoothing": 0.5}, {}, True),
        ({"gone": 1}, {}, True),
        ({"smoothing": 0.5}, {"changes": {"smoothing": 0.5}}, False),
        ({"steps": 9, "steps_when_turned": 9}, {"options": {"steps": 9, "size": None}}, False),
        ({"steps": 9}, {"options": {"steps": None}}, True),
        ({"anomalies": {"line_share": 1}}, {"changes": {"anomalies.line_share": 1}}, False),
        ({"anomalies": {"line_share": 1}}, {}, True),
    ],
)
def test_a_preset_that_has_changed_since_is_marked(changed, told, marked):
    configuration = find_preset("destseg", "paper").model_dump(mode="json") | changed
    found = render([record(configuration=configuration, **told)])
    assert ("‡§ |" in found) == marked
    assert ("before the preset changed" in found) == marked


@pytest.mark.parametrize("field", ["precision", "follows_shape"])
@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_a_result_from_before_one_settled_it_is_not_marked(preset, field):
    configuration = find_preset("destseg", preset).model_dump(mode="json")
    del configuration[field]
    assert "‡§" not in render([record(preset=preset, configuration=configuration)])


@pytest.mark.parametrize(
    ("memory", "marked"),
    [
        ({"kind": "placed"}, False),
        ({"kind": "none"}, False),
        ({"kind": "placed", "share": 0.5}, True),
        (None, True),
    ],
)
def test_a_memory_that_the_good_images_decided_on_is_no_change(memory, marked):
    configuration = find_preset("destseg", "fast").model_dump(mode="json") | {"memory": memory}
    found = render([record(preset="fast", configuration=configuration)])
    assert ("‡§" in found) == marked


def test_a_result_of_a_method_that_is_none_here_is_shown():
    assert "somebody fast" in render(
        [record(method="somebody", preset="fast", configuration={"a": 1})]
    )


def test_another_split_is_marked_and_not_compared():
    training = {"images": 38, "held_out": 10, "skipped": 0, "texture_images": DTD_TEXTURES}
    found = render([record(category="toothbrush", training=training)])
    assert r"mvtec toothbrush\*" in found
    assert "a split other than" in found
    assert "as published" not in found
    training |= {"images": 48, "held_out": 12}
    found = render([record(category="toothbrush", training=training)])
    assert r"toothbrush\*" not in found
    assert "a split other than" not in found
    assert "as published" in found


def test_other_textures_than_the_papers_are_marked():
    training = record()["training"]
    assert "†" not in render([record()])
    for count in (None, 800):
        found = render([record(training=training | {"texture_images": count})])
        assert found.count("†") == 2, "at the row, and the note"


def test_other_options_are_another_row():
    rows = group([record(0), record(1), record(2, options={"steps": 10}), record(0, preset="fast")])
    assert sorted(len(row.records) for row in rows) == [1, 1, 2]


def test_variants_stand_beside_the_papers_ablation():
    full = record(variant="den+ed+seg", changes={})
    without = record(variant="den+ed", changes={"head": "none"})
    head, _, _, second, _, first = table(full, without)
    assert [first[head.index(k)] for k in ("image AUROC", "pixel AP", "IAP")] == [
        "94.5", "54.0", "58.5",
    ]  # fmt: skip
    assert second[head.index("pixel AP")] == "75.8"
    assert first[1] == second[1] == "as published, mean of 15"
    own = table(record(variant="mine", changes={"focal_gamma": 2}))
    assert len(own) == 3, "nothing is published on it"


def test_ablations_stand_in_the_papers_order_and_other_variants_after_them():
    names = ["mine", "none", "den+ed+seg", "seg", "ed"]
    order = [row.first["variant"] for row in group(record(variant=name) for name in names)]
    assert order == ["den+ed+seg", "seg", "ed", "none", "mine"]


def test_milliseconds_are_the_median_of_those_that_have_them():
    head, _, row = table(*(record(n, milliseconds=ms) for n, ms in ((0, 40.2), (1, 44), (2, 90))))[
        :3
    ]
    assert row[head.index("ms an image")] == "44"
    head, _, row = table(record())[:3]
    assert row[head.index("ms an image")] == "-"


def test_stpm_stands_beside_what_destsegs_authors_measured_of_it():
    head, _, _, paper, _ = table(record(method="stpm"))
    assert paper[head.index("pixel AP")] == "26.9"
    assert paper[head.index("seeds")] == ""


def test_category_without_published_figures():
    found = table(record(category="gear"))
    assert len(found) == 3, "head, rule, row"


def test_results_are_read_and_other_files_passed_over(tmp_path: Path):
    (tmp_path / "b.json").write_text(json.dumps(record(1)))
    (tmp_path / "a.json").write_text(json.dumps(record(0)))
    (tmp_path / "install.json").write_text('{"packages": 20}')
    assert [r["seed"] for r in read_results(tmp_path)] == [0, 1]
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(UsageError, match=r"c\.json is damaged"):
        read_results(tmp_path)


def test_nothing_to_show(tmp_path: Path):
    with pytest.raises(UsageError, match="no bench results"):
        read_results(tmp_path)


def test_published_means_are_the_papers():
    """Means over the 15 categories as the paper gives them: 97.9, 75.8, 76.4, 57.8."""
    assert len(MVTEC_TRAINING_IMAGES) == 15
    assert sum(MVTEC_TRAINING_IMAGES.values()) == 3629
    everything = [published("destseg", category) for category in MVTEC_TRAINING_IMAGES]
    for key, mean in {"pixel_auroc": 97.9, "pixel_ap": 75.8, "iap": 76.4, "iap90": 57.8}.items():
        found = sum(figures[key].mean for figures in everything) / 15
        assert 100 * found == pytest.approx(mean, abs=0.051), key
    assert published("adps", "screw") == {}


def test_a_run_says_how_many_images_its_textures_were_cut_from(tiny_run: Path, tiny_textures: Path):
    training = read_manifest(tiny_run).training
    assert training.texture_images == len(list(tiny_textures.iterdir()))
