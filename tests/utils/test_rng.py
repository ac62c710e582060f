from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import flawmap
from flawmap.utils.rng import Stream, from_words, generator


def test_same_key_same_numbers():
    first, again = (generator(3, Stream.ORDER, 7).random(100) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_every_seed_stream_and_index_draws_its_own():
    keys = itertools.product((0, 1, 2**63), Stream, (0, 1, 5000))
    draws = [generator(*key).integers(0, 2**63, 4).tobytes() for key in keys]
    assert len(set(draws)) == len(draws)


def test_other_draws_have_words_that_no_stream_has():
    for word in (0, 2**32, 2**40):
        drawn = from_words(3, word).integers(0, 2**63, 4).tolist()
        assert drawn == from_words(3, word).integers(0, 2**63, 4).tolist()
        assert all(drawn != generator(3, s).integers(0, 2**63, 4).tolist() for s in Stream)
    for stream in Stream:
        with pytest.raises(ValueError, match="may be a stream's"):
            from_words(3, stream)


def test_nothing_in_the_package_draws_but_through_it():
    """numpy's own generators are made in rng.py alone."""
    sources = [p for p in Path(flawmap.__file__).parent.rglob("*.py") if p.name != "rng.py"]
    makers = re.compile(r"default_rng\(|Philox\(|np\.random\.(seed|rand|normal|PCG64)")
    assert not [p.name for p in sources if makers.search(p.read_text(encoding="utf-8"))]


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
