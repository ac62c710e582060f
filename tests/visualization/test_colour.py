"""Heat colours in perceptual order, overlays that leave quiet places alone, outlines outside."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.visualization.colour import heatmap, outline, overlay, scale_top

GREY = np.full((9, 9, 3), 120, np.uint8)


def plane(value: float) -> np.ndarray:
    return np.full((9, 9), value, np.float32)


def test_heat_gets_lighter_all_the_way() -> None:
    colours = heatmap(np.linspace(0, 1, 256, dtype=np.float32)[None], 0, 1)[0]
    luminance = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(luminance) > 0)
    assert colours.dtype == np.uint8


@pytest.mark.parametrize(
    ("value", "like"), [(-5, 0), (7, 1), (float("nan"), 0), (float("inf"), 1), (float("-inf"), 0)]
)
def test_values_outside_the_scale(value: float, like: float) -> None:
    assert np.array_equal(heatmap(plane(value), 0, 1), heatmap(plane(like), 0, 1))


def test_no_scale_means_two_colours() -> None:
    heat = heatmap(np.array([[0, 1]], np.float32), 0, 0)
    assert heat[0, 0].sum() < 10
    assert heat[0, 1].sum() > 600


def test_threshold_sits_mid_scale() -> None:
    assert scale_top(0.3) == pytest.approx(0.6)
    assert scale_top(3.0, low=2.0) == pytest.approx(4.0)
    full = overlay(GREY, plane(0.3), 0.3, opacity=1.0)
    assert np.array_equal(full, heatmap(plane(0.5), 0, 1))


def test_overlay_leaves_quiet_places_alone_and_grows_with_the_map() -> None:
    assert np.array_equal(overlay(GREY, plane(0), 0.5), GREY)
    change = [
        np.abs(overlay(GREY, plane(v), 0.5).astype(int) - GREY).sum() for v in (0.05, 0.2, 0.5)
    ]
    assert change[0] < change[1] < change[2]
    assert change[0] < 2 * GREY.size


def test_outline_goes_around_not_over() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[3:6, 3:6] = 1
    drawn = outline(GREY, mask, (1, 2, 3), width=1)
    assert np.array_equal(drawn[3:6, 3:6], GREY[3:6, 3:6])
    assert (drawn[2, 2:7] == (1, 2, 3)).all()
    assert (drawn[1, 1:8] == 40).all()
    assert (drawn[0] == 120).all()
    assert (outline(GREY, mask, (1, 2, 3), width=1, rim=False)[1] == 120).all()
    assert (GREY == 120).all()


def test_empty_mask_draws_nothing_and_returns_a_copy() -> None:
    drawn = outline(GREY, np.zeros((9, 9), np.uint8), (1, 2, 3))
    assert np.array_equal(drawn, GREY)
    assert drawn is not GREY


@pytest.mark.parametrize("image", [GREY[:5], GREY[..., 0]])
def test_sizes_that_do_not_fit_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"differ in size|must be \(H, W, 3\)"):
        overlay(image, plane(0), 0.5)
    with pytest.raises(ValueError, match=r"differ in size|must be \(H, W, 3\)"):
        outline(image, np.zeros((9, 9), np.uint8), (0, 0, 0))
