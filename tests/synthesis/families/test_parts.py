"""Blobs, fillings, neighbourhoods and what is visible, each against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from flawmap.synthesis.families.filling import fill, outline, shift_mirrored, spread
from flawmap.synthesis.families.parts.blobs import Blob, coverage
from flawmap.synthesis.families.parts.dice import Dice
from flawmap.synthesis.families.parts.pixels import cells, closed, enlarged, near, wider
from flawmap.synthesis.families.parts.visible import FLOOR, visible, visible_in_texture
from synthesis.families.scenes import disc, grain, scene


def masks(size: tuple[int, int] = (40, 53)) -> torch.Tensor:
    return grain(3, *size)[:, :1] > 0.9


def test_means_over_neighbours():
    x = grain(2, 20, 31)
    expected = [[scipy.ndimage.uniform_filter(c, 3, mode="nearest") for c in i] for i in x.numpy()]
    np.testing.assert_allclose(near(x), expected, atol=1e-6)


def test_wider_is_a_dilation_by_two():
    for mask, found in zip(masks(), wider(masks()), strict=True):
        expected = scipy.ndimage.binary_dilation(mask[0].numpy(), np.ones((5, 5)))
        np.testing.assert_array_equal(found[0], expected)


def test_closed_is_a_closing():
    for mask, found in zip(masks(), closed(masks()), strict=True):
        padded = np.pad(mask[0].numpy(), 4)
        expected = scipy.ndimage.binary_closing(padded, np.ones((5, 5)))[4:-4, 4:-4]
        np.testing.assert_array_equal(found[0][2:-2, 2:-2], expected[2:-2, 2:-2])
        assert found[0][mask[0]].all()


def test_cells_are_block_means_with_smaller_ones_at_the_rim():
    x = grain(1, 10, 13)
    found = cells(x, 4)
    assert found.shape == (1, 3, 3, 4)
    np.testing.assert_allclose(found[0, :, 1, 2], x[0, :, 4:8, 8:12].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[0, :, 2, 3], x[0, :, 8:, 12:].mean((1, 2)), rtol=1e-5)


def test_enlarging_is_bilinear():
    x = grain(2, 8, 8)
    expected = torch.nn.functional.interpolate(x, (32, 40), mode="bilinear")
    torch.testing.assert_close(enlarged(x, (32, 40)), expected)


@pytest.mark.parametrize("box", [0.0, 1.0])
def test_blobs_have_the_area_of_their_disc(box):
    rng = np.random.default_rng(0)
    radius = torch.tensor([10.0, 20.0, 30.0, 40.0]).view(-1, 1, 1, 1)
    blob = Blob.draw(Dice(rng.random((4, 12), np.float32), torch.device("cpu")), radius)
    blob = Blob(**{**vars(blob), "box": torch.full_like(radius, box)})
    rows = torch.arange(256.0)[:, None] - 128
    inside = coverage(blob.inside(rows, torch.arange(256.0) - 128), 1.0)
    area = inside.sum((1, 2, 3)) / (np.pi * radius.flatten() ** 2)
    assert ((area > 0.8) & (area < 1.25)).all()


def test_a_round_blob_is_a_disc():
    one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    blob = Blob(12 * one, one, none, none, none, none, none)
    rows, columns = torch.meshgrid(torch.arange(-20.0, 21), torch.arange(-20.0, 21), indexing="ij")
    found = blob.inside(rows, columns)[0, 0]
    torch.testing.assert_close(found, 12 - torch.hypot(rows, columns), atol=1e-2, rtol=0)


def test_lobes_follow_their_formula():
    rng = np.random.default_rng(1)
    third, fifth, phase = rng.random(3) * (0.3, 0.15, 6)
    values = [20, 1, 0, third, fifth, phase, 0]
    blob = Blob(*(torch.full((1, 1, 1, 1), float(v)) for v in values))
    angle = rng.uniform(-3, 3, 50)
    down, across = (torch.from_numpy(7 * f(angle)).float() for f in (np.sin, np.cos))
    expected = 20 * (1 + third * np.cos(3 * angle) + fifth * np.cos(5 * angle - phase)) - 7
    np.testing.assert_allclose(blob.inside(down, across).flatten(), expected, atol=1e-4)


def test_spreading_keeps_what_is_known_and_bridges_the_rest():
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    known = torch.ones(1, 1, 64, 64)
    known[..., 20:44, 24:40] = 0
    found = spread(ramp * known, known)
    assert torch.equal(found[known > 0], ramp[known > 0])
    torch.testing.assert_close(found, ramp, atol=0.12, rtol=0)
    assert not spread(ramp, torch.zeros_like(known)).any()


def test_looking_elsewhere_mirrors_at_the_rim():
    x = grain(3, 20, 30)
    down, across = torch.tensor([0, 7, -25]), torch.tensor([3, -14, 31])
    found = shift_mirrored(x, *(v.view(-1, 1, 1, 1).float() for v in (down, across)))
    for image, dy, dx, moved in zip(x.numpy(), down, across, found, strict=True):
        wide = np.pad(image, ((0, 0), (40, 40), (40, 40)), mode="symmetric")
        expected = wide[:, 40 + dy : 60 + dy, 40 + dx : 70 + dx]
        np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_filled_part_is_background_and_its_outline_the_part(chance):
    """With detail of another place, and smooth."""
    clean, chance = disc(6), np.full(6, chance)
    seen_scene = scene(clean)
    background = fill(seen_scene, seen_scene.part, torch.ones(6, 1, 1, 1), chance)
    on = clean.mean(1, keepdim=True) > 0.5
    assert background.max() < 0.3
    part = outline(seen_scene, background)
    overlap = (part & on).sum((1, 2, 3)) / (part | on).sum((1, 2, 3))
    assert (overlap > 0.85).all()
    assert not outline(scene(grain(2)), torch.zeros(2, 3, 128, 128)).any(), "it has no background"


def test_places_are_picked_where_asked():
    where = torch.zeros(8, 1, 96, 160)
    where[..., 30:60, 100:150] = 1
    for which in range(4):
        row, column = scene(grain(8, 96, 160), seed=which).pick(where, which)
        assert where[torch.arange(8), 0, row.flatten().long(), column.flatten().long()].all()
        assert len({*zip(row.flatten().tolist(), column.flatten().tolist(), strict=True)}) > 3
    row, column = scene(grain(8, 96, 160)).pick(torch.zeros_like(where))
    assert ((row >= 0) & (row < 96) & (column >= 0) & (column < 160)).all()


def test_seen_is_what_exceeds_the_floor():
    clean = torch.full((1, 3, 40, 40), 0.5)
    changed = clean.clone()
    changed[..., 10:20, 10:20] += 1.5 * FLOOR
    changed[..., 28:36, 28:36] += 0.9 * FLOOR
    found = visible(clean, changed)[0, 0]
    assert found[11:19, 11:19].all()
    assert not found[:, 22:].any()
    assert found.sum() <= 12 * 12


def test_in_texture_other_grain_is_not_seen_but_a_hole_in_it_is():
    clean = grain(2, 128, 128) * 0.3 + 0.3
    touched = torch.zeros(2, 1, 128, 128, dtype=torch.bool)
    touched[..., 40:90, 40:90] = True
    other, plain, bright = clean.clone(), clean.clone(), clean.clone()
    other[..., 40:90, 40:90] = clean[..., 60:110, 10:60]
    plain[..., 40:90, 40:90] = 0.45
    bright[..., 40:90, 40:90] += 0.15
    assert visible_in_texture(clean, other, touched)[touched].float().mean() < 0.05
    for changed in (plain, bright):
        found = visible_in_texture(clean, changed, touched)
        assert found[touched].float().mean() > 0.9
        assert not found[~touched].any()
