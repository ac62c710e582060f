from __future__ import annotations

import itertools

import numpy as np
import pytest

from flawmap.rng import Stream, generator


def test_same_key_same_numbers():
    first, again = (generator(3, Stream.ORDER, 7).random(100) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_every_seed_stream_and_index_draws_its_own():
    keys = itertools.product((0, 1, 2**63), Stream, (0, 1, 5000))
    draws = [generator(*key).integers(0, 2**63, 4).tobytes() for key in keys]
    assert len(set(draws)) == len(draws)


def test_an_index_never_runs_into_the_next():
    """A million draws stay inside the index's own block of 2^64 counters."""
    rng = generator(0, Stream.ANOMALY, 6)
    rng.random(1_000_000)
    counter = rng.bit_generator.state["state"]["counter"]
    assert counter[1:].tolist() == [6, 0, 0]
    assert 0 < counter[0] < 2**20


@pytest.mark.parametrize("seed", [-1, 0, 2**64 - 1, 2**70])
def test_any_integer_is_a_seed(seed):
    assert 0 <= generator(seed, Stream.SPLIT).random() < 1


def test_global_state_is_neither_read_nor_moved():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one = generator(0, Stream.SPLIT).random()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert one == generator(0, Stream.SPLIT).random()
