from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import torch
from pydantic import ValidationError

from flawmap.synthesis.anomalies import (
    AnomalyConfig,
    AnomalyParameters,
    anomaly_masks,
    corrupt,
    draw_parameters,
    thin_curves,
)

CPU = torch.device("cpu")
SIZE = (256, 256)


def masks(count: int, config: AnomalyConfig, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chunks = [
        anomaly_masks(draw_parameters(rng, 50, 1, config), SIZE, config, CPU)[:, 0].numpy()
        for _ in range(count // 50)
    ]
    return np.concatenate(chunks)


def test_statistics_of_the_released_synthesis():
    """By simulation: 4.5 % empty, 4.9 % of pixels, 5-95 percentile 1.8-9.4 %, 10 components."""
    drawn = masks(1000, AnomalyConfig())
    area = drawn.mean((1, 2))
    full = drawn[area > 0]
    assert (area == 0).mean() == pytest.approx(0.045, abs=0.015)
    assert area.mean() == pytest.approx(0.049, abs=0.003)
    low, high = np.percentile(area[area > 0], [5, 95])
    assert low == pytest.approx(0.018, abs=0.006)
    assert high == pytest.approx(0.094, abs=0.012)
    components = [scipy.ndimage.label(m, np.ones((3, 3)))[1] for m in full[:300]]
    assert 8 <= np.median(components) <= 12


def test_a_single_cell_is_often_empty_and_many_cells_never():
    single = masks(200, AnomalyConfig(max_exponent=0))
    assert (~single.any((1, 2))).mean() == pytest.approx(0.51, abs=0.08)
    rng, config = np.random.default_rng(1), AnomalyConfig()
    fine = dataclasses.replace(
        draw_parameters(rng, 100, 1, config), cells=np.full((100, 2), 8, np.float32)
    )
    assert anomaly_masks(fine, SIZE, config, CPU).flatten(1).any(1).all()


def test_lattice_sizes_are_powers_of_two_equally_often():
    cells = draw_parameters(np.random.default_rng(0), 12_000, 1, AnomalyConfig()).cells
    values, counts = np.unique(cells, return_counts=True)
    assert values.tolist() == [1, 2, 4, 8, 16, 32]
    assert counts.min() > 0.9 * 24_000 / 6
    assert abs(np.corrcoef(np.log2(cells).T)[0, 1]) < 0.05, "down and across are independent"


def test_ranges_of_parameters():
    drawn = draw_parameters(np.random.default_rng(0), 5000, 7, AnomalyConfig())
    assert 0.2 <= drawn.opacity.min() < 0.21
    assert 0.99 < drawn.opacity.max() <= 1
    assert drawn.opacity.mean() == pytest.approx(0.6, abs=0.02)
    assert -90 <= drawn.field_degrees.min() < -88
    assert 88 < drawn.field_degrees.max() <= 90
    assert set(drawn.texture.tolist()) == set(range(7))
    assert not drawn.confined.any()


@pytest.fixture
def drawn() -> AnomalyParameters:
    parameters = draw_parameters(np.random.default_rng(5), 12, 1, AnomalyConfig())
    cells = np.maximum(parameters.cells, 4)  # no empty masks
    return dataclasses.replace(parameters, cells=cells)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_outside_the_mask_nothing_changes(drawn: AnomalyParameters):
    clean, texture = noise(12, 3, 64, 96), 1 - noise(12, 3, 64, 96)
    corrupted, mask = corrupt(clean, texture, drawn, AnomalyConfig())
    assert mask.shape == (12, 1, 64, 96)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    outside = (mask == 0).expand_as(clean)
    assert torch.equal(corrupted[outside], clean[outside])
    assert (corrupted[~outside] != clean[~outside]).float().mean() > 0.99


def test_inside_the_mask_is_the_blend(drawn: AnomalyParameters):
    clean, texture = noise(12, 3, 64, 64), noise(12, 3, 64, 64).flip(0)
    corrupted, mask = corrupt(clean, texture, drawn, AnomalyConfig())
    for k in range(12):
        beta = float(drawn.opacity[k])
        inside = mask[k].expand(3, -1, -1) > 0
        expected = beta * texture[k][inside].double() + (1 - beta) * clean[k][inside].double()
        torch.testing.assert_close(corrupted[k][inside].double(), expected, atol=1e-6, rtol=0)


def test_empty_mask_leaves_the_image_as_it_is(drawn: AnomalyParameters):
    clean = noise(12, 3, 32, 32)
    corrupted, mask = corrupt(clean, 1 - clean, drawn, AnomalyConfig(threshold=9))
    assert not mask.any()
    assert torch.equal(corrupted, clean)


def test_inputs_are_left_alone(drawn: AnomalyParameters):
    clean, texture = noise(12, 3, 32, 32), 1 - noise(12, 3, 32, 32)
    before = clean.clone(), texture.clone()
    corrupt(clean, texture, drawn, AnomalyConfig(foreground_share=1))
    assert torch.equal(clean, before[0])
    assert torch.equal(texture, before[1])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_foreground_share(share):
    config = AnomalyConfig(foreground_share=share)
    confined = draw_parameters(np.random.default_rng(0), 4000, 1, config).confined
    assert confined.mean() == pytest.approx(share, abs=0.03 if 0 < share < 1 else 0)


def test_confined_anomalies_stay_on_the_part(drawn: AnomalyParameters):
    """A bright disc on a grey table: confined masks lie on it, free ones are as they were."""
    rows, columns = np.mgrid[:64, :64]
    part = (rows - 32) ** 2 + (columns - 32) ** 2 < 14**2
    clean = torch.from_numpy(np.where(part, 0.9, 0.3)).float().expand(12, 3, 64, 64)
    near = np.hypot(rows - 32, columns - 32) < 14 + 22
    drawn = dataclasses.replace(drawn, confined=np.arange(12) % 2 == 0)
    free = dataclasses.replace(drawn, confined=np.zeros(12, bool))
    texture = torch.zeros_like(clean)
    mask = corrupt(clean, texture, drawn, AnomalyConfig())[1][:, 0].numpy() > 0
    whole = corrupt(clean, texture, free, AnomalyConfig())[1][:, 0].numpy() > 0
    assert not mask[::2][:, ~near].any()
    assert (mask[::2][:, part] == whole[::2][:, part]).all()
    assert (mask[1::2] == whole[1::2]).all()
    assert whole[::2][:, ~near].any()


@pytest.mark.parametrize("width", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("steepness", [0.01, 1.0])
def test_a_curve_is_as_wide_as_asked_for_however_steep_the_noise(width, steepness):
    """A ramp that crosses zero between columns 19 and 20; upside down it is high there."""
    ramp = (torch.arange(100) - 19.5).expand(1, 1, 80, 100) * steepness
    curve = thin_curves(ramp, torch.full((1, 1, 1, 1), width))[0, 0]
    across = np.abs(np.arange(100) - 19.5) < width / 2
    if (0.25 / steepness) > 60:  # the cut of its other end lies outside the picture
        assert not curve.any()
    else:
        np.testing.assert_array_equal(curve.numpy(), np.broadcast_to(across, (80, 100)))


def test_lines_are_thin_and_blots_stay_as_they_were():
    config = AnomalyConfig(line_share=0.5, line_width=(1, 5))
    parameters = draw_parameters(np.random.default_rng(3), 80, 1, config)
    assert parameters.lines.mean() == pytest.approx(0.5, abs=0.15)
    drawn = anomaly_masks(parameters, SIZE, config, CPU)[:, 0].numpy()
    without = dataclasses.replace(parameters, lines=np.zeros(80, bool))
    blots = anomaly_masks(without, SIZE, config, CPU)[:, 0].numpy()
    np.testing.assert_array_equal(drawn[~parameters.lines], blots[~parameters.lines])
    lines = drawn[parameters.lines]
    depth = [scipy.ndimage.distance_transform_edt(line).max() for line in lines if line.any()]
    assert len(depth) > 0.8 * len(lines)
    assert np.percentile(depth, 90) <= 4  # two curves may meet
    assert 0.002 < lines.mean() < 0.03


@pytest.mark.parametrize(
    "change",
    [
        {"foreground_share": 1.5},
        {"max_exponent": 9},
        {"colour": 1},
        {"line_width": (0, 3)},
        {"opacity": (0.8, 0.2)},
    ],
)
def test_config_refuses(change):
    with pytest.raises(ValidationError):
        AnomalyConfig(**change)
