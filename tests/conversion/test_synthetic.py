"""Drawn defects, and what is measured on them."""

from __future__ import annotations

import numpy as np
import pytest

from conversion.test_difference import Fixed
from flawmap.conversion.synthetic import draw_defects, measure
from training.tiny import tiny_images


def test_defects_are_where_the_mask_is_and_nowhere_else():
    good = tiny_images(3)
    drawn = draw_defects(good, 7, seed=0)
    assert 0 < len(drawn.images) <= 7
    assert drawn.images.dtype == drawn.masks.dtype == np.uint8
    assert drawn.masks.any((1, 2)).all()
    assert set(np.unique(drawn.masks)) == {0, 1}
    off = np.abs(drawn.images.astype(int) - good[np.arange(7) % 3][: len(drawn.images)]).max(-1)
    if len(drawn.images) == 7:  # none was left out, so that each stands beside its own
        assert not off[drawn.masks == 0].any()
        assert (off[drawn.masks == 1] > 0).mean() > 0.9
    again = draw_defects(good, 7, seed=0)
    assert np.array_equal(again.images, drawn.images)
    assert not np.array_equal(draw_defects(good, 7, seed=1).masks[:1], drawn.masks[:1])


class Oracle(Fixed):
    """Knows the masks."""

    def __init__(self, masks):
        self._answers = iter(masks)

    def __call__(self, images):
        found = next(self._answers).astype(np.float32)
        return found[None], found.max()[None]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_oracle_is_perfect_and_its_opposite_is_not(sign):
    good = tiny_images(4)
    drawn = draw_defects(good, 6, seed=0)
    masks = [np.zeros((64, 64))] * 4 + list(drawn.masks)
    ap, auroc = measure(Oracle([sign * mask.astype(float) for mask in masks]), good, drawn)
    assert (ap, auroc) == (1, 1) if sign == 1 else ap < 0.2 and auroc < 0.6
