from collections import Counter, defaultdict
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawmap.evaluation.metrics import counts
from flawmap.evaluation.metrics.counts import KeyCounts, PixelCounts, to_keys

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


KEYS = st.lists(st.integers(0, 40))


def as_dict(table):
    return dict(zip(table.keys.tolist(), table.sums[0].tolist(), strict=True))


def counts_of(keys):
    return KeyCounts.of_keys(np.array(keys, np.uint32))


@given(KEYS)
def test_keys_are_counted_and_ascend(keys):
    assert list(as_dict(counts_of(keys)).items()) == sorted(Counter(keys).items())


@given(KEYS, KEYS)
def test_plus_counts_both_and_changes_neither(a, b):
    left, right = counts_of(a), counts_of(b)
    assert list(as_dict(left.plus(right)).items()) == sorted(Counter(a + b).items())
    assert (as_dict(left), as_dict(right)) == (Counter(a), Counter(b))


@given(KEYS, st.integers(0, 33))
def test_coarser_counts_the_upper_bits(keys, bits):
    assert as_dict(counts_of(keys).coarser(bits)) == Counter(k >> bits for k in keys)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1))))
def test_weights_are_summed_beside_the_counts(pairs):
    expected = defaultdict(float)
    for key, weight in pairs:
        expected[key] += weight
    keys, weights = np.array([k for k, _ in pairs], np.uint32), np.array([w for _, w in pairs])
    table = KeyCounts.of_weighted(keys, weights.astype(float))
    assert as_dict(table) == Counter(k for k, _ in pairs)
    assert table.sums[1] == pytest.approx([expected[k] for k in sorted(expected)])


BATCH = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.booleans()), max_size=30)


def filled(batches, max_keys):
    pixels = PixelCounts(max_keys)
    for batch in batches:
        defect = np.array([k for k, is_defect in batch if is_defect], np.uint32)
        background = np.array([k for k, is_defect in batch if not is_defect], np.uint32)
        pixels.add(background, defect, np.full(len(defect), 0.5))
    return pixels


def content(pixels):
    background, defect = pixels.tables()
    return [t.tolist() for t in (*background, *defect)], pixels.dropped_bits


@pytest.fixture(autouse=True)
def sort_in_often(monkeypatch):
    monkeypatch.setattr(counts, "SLACK", 10)


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
    pixels = filled([batch], max_keys)
    background, defect = pixels.tables()

    def distinct(bits):
        return len({(k >> bits, is_defect) for k, is_defect in batch})

    assert len(background.keys) + len(defect.keys) == distinct(pixels.dropped_bits) <= max_keys
    assert pixels.dropped_bits == 0 or distinct(pixels.dropped_bits - 1) > max_keys


def test_memory_stays_bounded_over_many_images():
    pixels, rng = PixelCounts(500), np.random.default_rng(0)
    for _ in range(50):
        keys = rng.integers(0, 2**32, 400, dtype=np.uint32)
        pixels.add(keys, np.empty(0, np.uint32), np.empty(0))
        assert pixels._distinct() <= 500
        assert sum(map(len, pixels._new_background)) <= 510
    assert pixels.tables()[0].sums.sum() == 50 * 400
