"""Maps of windows put together."""

from __future__ import annotations

import numpy as np

from flawmap.data.resize import Framing
from flawmap.inspection.blending import Blend, axis_weights

RNG = np.random.default_rng(6)


def test_one_window_comes_out_as_it_went_in():
    layout = Framing((32, 48), "tiles", 8).layout((32, 48))
    given = RNG.random((32, 48)).astype(np.float32)
    blend = Blend(layout)
    blend.add(0, given)
    np.testing.assert_array_equal(blend.result(), given)


def test_windows_that_agree_give_what_they_agree_on():
    layout = Framing((32, 32), "tiles", 12).layout((75, 101))
    given = RNG.random((75, 101)).astype(np.float32)
    blend = Blend(layout)
    for index in RNG.permutation(layout.count):
        blend.add(int(index), given[layout.tile(int(index))])
    np.testing.assert_allclose(blend.result(), given, atol=1e-6)


def test_padding_is_cut_off():
    layout = Framing((32, 32), "letterbox").layout((10, 20))
    given = RNG.random((32, 32)).astype(np.float32)
    blend = Blend(layout)
    blend.add(0, given)
    np.testing.assert_array_equal(blend.result(), given[8:24])


def test_weights_fall_to_0_inwards_and_never_at_the_photograph_s_edge():
    first, middle, last = axis_weights([0, 24, 48], 32)
    assert first[0] == last[-1] == 1.0
    for inner in (first[-2:], middle[:2], middle[-2:], last[:2]):
        assert not inner.any()
    assert (np.diff(first) <= 0).all()
    assert (np.diff(middle[:16]) >= 0).all()
    assert np.abs(np.diff(middle)).max() < 0.4


def test_a_disagreement_leaves_no_step():
    """Windows that are each a level of their own: the map goes from one to the next smoothly."""
    layout = Framing((64, 64), "tiles", 32).layout((64, 256))
    blend = Blend(layout)
    for index in range(layout.count):
        blend.add(index, np.full((64, 64), index % 2, np.float32))
    steps = np.abs(np.diff(blend.result()[0]))
    assert 0.0 < steps.max() < 0.1
