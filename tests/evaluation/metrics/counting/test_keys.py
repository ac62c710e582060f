import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flawmap.evaluation.metrics.counting.keys import to_keys

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2)


@given(FLOATS)
def test_keys_order_and_tie_as_the_floats_do(values):
    scores = np.array(values, np.float32)
    keys = to_keys(scores).astype(np.int64)
    expected = np.sign(scores[:, None].astype(float) - scores[None].astype(float))
    assert np.array_equal(np.sign(keys[:, None] - keys[None]), expected)


def test_neighbouring_floats_just_below_one_have_neighbouring_keys():
    a = np.float32(1 - 1e-7)
    assert np.diff(to_keys(np.array([a, np.nextafter(a, np.float32(2))]))) == 1


def test_a_transposed_map_keeps_its_layout():
    scores = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(to_keys(scores.T), to_keys(scores).T)
