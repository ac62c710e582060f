from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawmap.evaluation.metrics.counting import pixels
from flawmap.evaluation.metrics.counting.pixels import PixelCounts

BATCH = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.booleans()), max_size=30)


def filled(batches, max_keys):
    counts = PixelCounts(max_keys)
    for batch in batches:
        defect = np.array([k for k, is_defect in batch if is_defect], np.uint32)
        background = np.array([k for k, is_defect in batch if not is_defect], np.uint32)
        counts.add(background, defect, np.full(len(defect), 0.5))
    return counts


def content(counts):
    background, defect = counts.tables()
    return [t.tolist() for t in (*background, *defect)], counts.dropped_bits


@pytest.fixture(autouse=True)
def settle_often(monkeypatch):
    monkeypatch.setattr(pixels, "SLACK", 10)


@given(st.lists(BATCH, max_size=6), st.sampled_from([2, 5, 20, 1000]), st.integers(0, 6))
def test_tables_do_not_depend_on_order_or_sharding(batches, max_keys, cut):
    whole = content(filled([list(chain(*batches))], max_keys))
    shards = filled(batches[cut:], max_keys)
    other = filled(batches[:cut], max_keys)
    before = content(other)
    shards.merge(other)
    assert content(shards) == content(filled(batches[::-1], max_keys)) == whole
    assert content(other) == before


@given(BATCH, st.sampled_from([2, 5, 20]))
def test_just_as_many_bits_are_dropped_as_must_be(batch, max_keys):
    counts = filled([batch], max_keys)
    background, defect = counts.tables()

    def distinct(bits):
        return len({(k >> bits, is_defect) for k, is_defect in batch})

    assert len(background.keys) + len(defect.keys) == distinct(counts.dropped_bits) <= max_keys
    assert counts.dropped_bits == 0 or distinct(counts.dropped_bits - 1) > max_keys


def test_memory_stays_bounded_over_many_images():
    counts, rng = PixelCounts(500), np.random.default_rng(0)
    for _ in range(50):
        keys = rng.integers(0, 2**32, 400, dtype=np.uint32)
        counts.add(keys, np.empty(0, np.uint32), np.empty(0))
        assert counts._distinct() <= 500
        assert sum(map(len, counts._new_background)) <= 510
    assert counts.tables()[0].sums.sum() == 50 * 400
