from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from flawmap.errors import UsageError
from flawmap.methods.registry import find_preset
from flawmap.synthesis.anomalies import AnomalyConfig, anomaly_masks, corrupt, draw_parameters
from flawmap.synthesis.families.weights import FAMILY_NAMES, FamilyWeights, draw_families
from flawmap.training.config import TrainConfig
from flawmap.training.resolve import method_config
from flawmap.utils.rng import Stream, generator
from synthesis.families.scenes import NEW, only

# Recorded before there were families, of presets that must not change: a digest of all draws of
# batch 3 with seed 7, the number that comes next, and the pixels of its masks.
RECORDED = {
    ("destseg", "paper"): ("f492f97c4be46024", 0.533763957, [668, 121, 168, 736]),
    ("adps", "paper"): ("3f0e2a8fb1349837", 0.761329157, [668, 121, 168, 736]),
}
RECORDED_FAST = {
    ("destseg", "fast"): ("ae9110d77d8e1f42", 0.533763957, [668, 121, 168, 736]),
    ("adps", "fast"): ("332f8094db6b0da7", 0.766736911, [457, 455, 168, 736]),
}
FIELDS = (
    "cells", "angles", "field_degrees", "opacity", "texture", "confined", "spared", "operations",
    "amounts", "lines", "line_width",
)  # fmt: skip


@pytest.mark.parametrize(("preset", "expected"), (RECORDED | RECORDED_FAST).items())
def test_presets_draw_what_they_drew_before_there_were_families(preset, expected):
    config = find_preset(*preset).anomalies
    rng = generator(7, Stream.ANOMALY, 3)
    drawn = draw_parameters(rng, 4, 5, config)
    digest = hashlib.sha256()
    for name in FIELDS:
        digest.update(np.ascontiguousarray(getattr(drawn, name)).tobytes())
    assert drawn.families is None
    assert (digest.hexdigest()[:16], round(rng.random(), 9)) == expected[:2]
    masks = anomaly_masks(drawn, (64, 96), config, torch.device("cpu"))
    np.testing.assert_allclose(masks.sum((1, 2, 3)), expected[2], atol=2)  # rounding at the edge


def test_without_families_an_image_is_what_it_was():
    """The formula of before, to the bit."""
    config = AnomalyConfig(foreground_share=0.5)
    rng = torch.Generator().manual_seed(0)
    clean, textures = torch.rand((2, 6, 3, 64, 64), generator=rng)
    drawn = draw_parameters(np.random.default_rng(0), 6, 1, config)
    corrupted, mask = corrupt(clean, textures, drawn, config)
    opacity = torch.from_numpy(drawn.opacity)[:, None, None, None]
    expected = torch.where(mask > 0, torch.lerp(clean, textures, opacity), clean)
    assert mask.any()
    assert torch.equal(corrupted, expected)


def test_families_leave_the_other_draws_alone():
    before = draw_parameters(generator(1, Stream.ANOMALY, 2), 8, 5, AnomalyConfig())
    after = draw_parameters(generator(1, Stream.ANOMALY, 2), 8, 5, only("faint"))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_textures_beside_other_families_are_those_drawn_alone():
    weights = {"texture": 1, "scratch": 1}
    mixed = AnomalyConfig(foreground_share=0.5, families=weights)
    alone = AnomalyConfig(foreground_share=0.5)
    rng = torch.Generator().manual_seed(0)
    clean, textures = torch.rand((2, 16, 3, 64, 64), generator=rng)
    drawn = [draw_parameters(generator(0, Stream.ANOMALY), 16, 1, c) for c in (mixed, alone)]
    images = [corrupt(clean, textures, d, c)[0] for d, c in zip(drawn, (mixed, alone), strict=True)]
    same = drawn[0].families.family == 0
    assert 0 < same.sum() < 16
    torch.testing.assert_close(images[0][same], images[1][same])
    for a, b in zip(images[0][~same], images[1][~same], strict=True):
        assert not torch.equal(a, b)


def test_frequencies_follow_the_weights():
    weights = FamilyWeights(texture=2, faint=1, moved=0, removed=0, area=0, scratch=0, eaten=5)
    family = draw_families(np.random.default_rng(0), 8000, weights).family
    shares = np.bincount(family, minlength=len(FAMILY_NAMES)) / 8000
    np.testing.assert_allclose(shares, [0.25, 0.125, 0, 0, 0, 0, 0.625], atol=0.02)
    np.testing.assert_array_equal(shares[[2, 3, 4, 5]], 0)


def test_spared_samples_stay_good():
    config = only("area", probability=0.5)
    clean = torch.rand((12, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    drawn = draw_parameters(np.random.default_rng(0), 12, 1, config)
    corrupted, mask = corrupt(clean, 1 - clean, drawn, config)
    assert 0 < drawn.spared.sum() < 12
    assert not mask[drawn.spared].any()
    assert torch.equal(corrupted[drawn.spared], clean[drawn.spared])
    assert mask[~drawn.spared].any()


@pytest.mark.parametrize("name", NEW)
def test_a_family_is_switched_on_by_set(name):
    config = TrainConfig(changes={f"anomalies.families.{name}": 0.5})
    assert getattr(method_config(config).anomalies.families, name) == 0.5


@pytest.mark.parametrize(
    "families", [{"texture": -1}, {"texture": 0}, {"scratches": 1}, {"faint": "much"}]
)
def test_config_refuses(families):
    with pytest.raises(ValidationError):
        AnomalyConfig(families=families)


def test_no_family_at_all_is_refused_in_words():
    with pytest.raises(UsageError, match="at least one family a weight above 0"):
        method_config(TrainConfig(changes={"anomalies.families.texture": 0}))
