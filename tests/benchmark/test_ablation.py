from __future__ import annotations

import pytest
import torch

from flawmap.benchmark.ablation import ABLATIONS, find_ablation, published_ablation
from flawmap.benchmark.grid import Grid
from flawmap.errors import UsageError
from flawmap.methods.batch import Batch
from flawmap.methods.registry import find_preset
from methods.tiny import SIZE, tiny_batch, tiny_method

ABLATION = ABLATIONS["destseg"]


@pytest.fixture
def batch() -> Batch:
    return tiny_batch()


@pytest.mark.parametrize("preset", ["paper", "fast"])
@pytest.mark.parametrize("variant", ABLATION)
def test_every_variant_trains_and_judges(preset: str, variant: str, batch: Batch):
    method = tiny_method(preset, **ABLATION[variant].changes)
    for phase in method.phases():
        method.module.eval().requires_grad_(False)
        for group in phase.groups:
            group.train().requires_grad_(True)
        phase.loss(batch).backward()
        assert all(p.grad is not None for g in phase.groups for p in g.parameters())
    with torch.no_grad():
        anomaly_map, score, _ = method.module.eval()(batch.corrupted)
    assert anomaly_map.shape == (4, *SIZE)
    assert score.shape == (4,)
    assert anomaly_map.min() >= 0
    assert anomaly_map.max() <= 1


def test_the_eight_rows_are_all_on_and_off_of_three_parts():
    rows = {frozenset(name.split("+")) for name in list(ABLATION)[:8]}
    parts = {"den", "ed", "seg"}
    assert len(rows) == 8
    for name, variant in list(ABLATION.items())[:8]:
        changes = variant.changes
        there = set() if name == "none" else set(name.split("+"))
        assert there <= parts
        assert (changes.get("denoising", True)) == ("den" in there)
        assert (changes.get("decoder", True)) == ("ed" in there)
        assert (not variant.distances) == ("seg" in there)


def test_read_outs_share_the_training_of_the_method_with_a_head(tmp_path):
    (tmp_path / "gear").mkdir()
    cells = Grid(data=tmp_path, variant=ABLATION).cells()
    trained = {cell.variant: cell.trained_as for cell in cells}
    assert len(set(trained.values())) == 7
    assert trained["den+ed"] == "den+ed+seg"
    assert trained["none"] == trained["none, level 2"] == "seg"


def test_published_rows():
    assert published_ablation("destseg", "den+ed+seg")["pixel_ap"].mean == pytest.approx(0.758)
    assert published_ablation("destseg", "none")["image_auroc"].mean == pytest.approx(0.948)
    assert published_ablation("destseg", "none, level 1") == {}
    assert {name for name in ABLATION if published_ablation("destseg", name)} == set(
        list(ABLATION)[:11]
    )


def test_each_methods_rows_change_fields_that_it_has():
    for name, rows in ABLATIONS.items():
        config = find_preset(name, "paper")
        for variant in rows.values():
            changed = type(config).model_validate(config.model_dump() | variant.changes)
            assert (changed != config) == bool(variant.changes)


def test_a_method_without_an_ablation_lists_those_with_one():
    with pytest.raises(UsageError, match="destseg, adps, stpm"):
        find_ablation("mine")
    assert published_ablation("stpm", "none") == {}
