"""Drawn defects."""

from __future__ import annotations

import numpy as np

from flawmap.exporting.synthetic import draw_anomalies, no_anomalies
from training.tiny import tiny_images


def test_defects_are_where_the_mask_is_and_nowhere_else():
    good = tiny_images(3)
    drawn = draw_anomalies(good, 7, seed=1)
    assert len(drawn.images) == 7, "with this seed none is left out: each stands beside its own"
    assert drawn.images.dtype == drawn.masks.dtype == np.uint8
    assert drawn.masks.any((1, 2)).all()
    assert set(np.unique(drawn.masks)) == {0, 1}
    off = np.abs(drawn.images.astype(int) - good[np.arange(7) % 3]).max(-1)
    assert not off[drawn.masks == 0].any()
    assert (off[drawn.masks == 1] > 0).mean() > 0.9
    again = draw_anomalies(good, 7, seed=1)
    assert np.array_equal(again.images, drawn.images)
    assert not np.array_equal(draw_anomalies(good, 7, seed=2).masks, drawn.masks)


def test_none_at_all_have_the_shape_of_some():
    good = tiny_images(3)
    nothing = no_anomalies(good)
    assert nothing.images.shape == (0, *good.shape[1:])
    assert nothing.masks.shape == (0, *good.shape[1:3])
