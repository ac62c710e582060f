"""DRAEM's ten operations: each in range, each doing what it is called."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from flawmap.synthesis.anomalies import AnomalyConfig, corrupt, draw_parameters
from flawmap.synthesis.operations import (
    OPERATIONS,
    autocontrast,
    brightness,
    equalize,
    gamma,
    hue_saturation,
    invert,
    posterize,
    rotate,
    sharpness,
    solarize,
)

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def texture() -> torch.Tensor:
    smooth = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(smooth, (40, 56), mode="bicubic").clamp(0, 1)[0]


def test_there_are_ten():
    assert len(set(OPERATIONS)) == 10


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("amounts", [(0.0, 0.0, 0.0), HALF, (0.999, 0.999, 0.999)], ids=str)
def test_pictures_stay_pictures(operation, amounts, texture):
    before = texture.clone()
    found = operation(texture, amounts)
    assert found.shape == texture.shape
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal(texture, before), "the bank is not drawn upon"


def test_each_by_hand(texture):
    torch.testing.assert_close(gamma(texture, (0.0, 1 / 3, 1.0))[1], texture[1])
    torch.testing.assert_close(gamma(texture, (0.0, 1 / 3, 1.0))[2], texture[2] ** 2)
    torch.testing.assert_close(brightness(texture, HALF), texture)
    torch.testing.assert_close(sharpness(texture, HALF), texture)
    torch.testing.assert_close(hue_saturation(texture, HALF), texture, atol=1e-5, rtol=0)
    torch.testing.assert_close(invert(texture, HALF), 1 - texture)
    assert torch.equal(solarize(texture, (0.1, 0.5, 0.5)), texture)
    cut = 80 / 255
    found = solarize(texture, (0.9, 0.5, 0.5))
    assert torch.equal(found[texture >= cut], 1 - texture[texture >= cut])
    assert torch.equal(found[texture < cut], texture[texture < cut])
    assert len(posterize(texture, (0.3, 0, 0)).unique()) <= 8
    assert (
        sharpness(texture, (1.0, 0, 0)).std()
        > texture.std()
        > sharpness(texture, (0.0, 0, 0)).std()
    )


def test_hue_keeps_grey_and_turns_colour(texture):
    grey = texture[:1].expand(3, -1, -1)
    torch.testing.assert_close(hue_saturation(grey, (1.0, 0.5, 0)), grey, atol=1e-5, rtol=0)
    assert (hue_saturation(texture, (1.0, 0.5, 0)) - texture).abs().max() > 0.1


def test_equalize_is_pillows(texture):
    texture = torch.nn.functional.interpolate(texture[None], (400, 560), mode="bilinear")[0]
    levels = (texture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    expected = np.asarray(ImageOps.equalize(Image.fromarray(levels)), np.float32) / 255
    found = equalize(texture, HALF).permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() < 0.02


def test_autocontrast_reaches_both_ends(texture):
    flat = 0.4 + 0.2 * texture
    found = autocontrast(flat, (0.0, 0, 0))
    assert torch.allclose(found.amin((1, 2)), torch.zeros(3), atol=1e-6)
    assert torch.allclose(found.amax((1, 2)), torch.ones(3), atol=1e-6)
    constant = torch.full((3, 4, 4), 0.3)
    assert torch.isfinite(autocontrast(constant, (0.0, 0, 0))).all()


def test_rotate_turns_about_the_centre():
    dot = torch.zeros(3, 41, 41)
    dot[:, 20, 30] = 1
    found = rotate(dot, (1.0, 0, 0))  # 45 degrees counter-clockwise
    y, x = divmod(int(found[0].argmax()), 41)
    assert abs(y - (20 - 7)) <= 1
    assert abs(x - (20 + 7)) <= 1


# --- how textures come to them


def test_each_texture_gets_as_many_different_ones_as_asked_for():
    drawn = draw_parameters(np.random.default_rng(0), 500, 3, AnomalyConfig(texture_operations=3))
    assert drawn.operations.shape == (500, 3)
    assert all(len(set(row)) == 3 for row in drawn.operations.tolist())
    counts = np.bincount(drawn.operations.ravel(), minlength=10) / 500
    np.testing.assert_allclose(counts, 0.3, atol=0.08)


def test_asking_for_none_changes_no_other_draw():
    """DeSTSeg's anomalies are the same numbers, whatever else can be drawn."""
    configs = AnomalyConfig(), AnomalyConfig(texture_operations=3, probability=0.5, line_share=0.5)
    plain, full = (draw_parameters(np.random.default_rng(7), 9, 5, c) for c in configs)
    for name in ("cells", "angles", "field_degrees", "opacity", "texture", "confined"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(full, name))
    assert plain.operations.shape == (9, 0)
    assert not plain.spared.any()


def test_spared_images_stay_good():
    config = AnomalyConfig(probability=0.5, texture_operations=2)
    drawn = draw_parameters(np.random.default_rng(0), 4000, 1, config)
    assert drawn.spared.mean() == pytest.approx(0.5, abs=0.03)
    few = draw_parameters(np.random.default_rng(0), 8, 1, config)
    few = dataclasses.replace(few, cells=np.full((8, 2), 8, np.float32))
    clean = torch.full((8, 3, 64, 64), 0.5)
    corrupted, mask = corrupt(clean, torch.rand(8, 3, 64, 64), few, config)
    spared = torch.from_numpy(few.spared)
    assert spared.any()
    assert not spared.all()
    assert torch.equal(corrupted[spared], clean[spared])
    assert not mask[spared].any()
    assert mask[~spared].flatten(1).any(1).all()
