from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawmap.evaluation.metrics.counting.tally import Tally

KEYS = st.lists(st.integers(0, 40))


def as_dict(tally):
    return dict(zip(tally.keys.tolist(), tally.sums[0].tolist(), strict=True))


def tally_of(keys):
    return Tally.of_keys(np.array(keys, np.uint32))


@given(KEYS)
def test_keys_are_counted_and_ascend(keys):
    assert list(as_dict(tally_of(keys)).items()) == sorted(Counter(keys).items())


@given(KEYS, KEYS)
def test_plus_counts_both_and_changes_neither(a, b):
    left, right = tally_of(a), tally_of(b)
    assert list(as_dict(left.plus(right)).items()) == sorted(Counter(a + b).items())
    assert (as_dict(left), as_dict(right)) == (Counter(a), Counter(b))


@given(KEYS, st.integers(0, 33))
def test_coarser_counts_the_upper_bits(keys, bits):
    assert as_dict(tally_of(keys).coarser(bits)) == Counter(k >> bits for k in keys)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1))))
def test_weights_are_summed_beside_the_counts(pairs):
    expected = defaultdict(float)
    for key, weight in pairs:
        expected[key] += weight
    keys, weights = np.array([k for k, _ in pairs], np.uint32), np.array([w for _, w in pairs])
    tally = Tally.of_weighted(keys, weights.astype(float))
    assert as_dict(tally) == Counter(k for k, _ in pairs)
    assert tally.sums[1] == pytest.approx([expected[k] for k in sorted(expected)])
