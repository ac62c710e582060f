import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from flawmap.evaluation.metrics.regions import regions

from .reference import flood_regions

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(MASKS)
def test_regions_are_those_of_a_flood_fill(mask):
    keys = np.random.default_rng(mask.size).integers(0, 5, mask.shape).astype(np.uint32)
    found = regions(keys, mask)
    flooded = flood_regions(mask)
    halves = [sorted((int(keys[p]) for p in r), reverse=True)[len(r) // 2] for r in flooded]
    assert sorted(found.thresholds.tolist()) == sorted(halves)
    expected = sorted((int(keys[p]), 1 / len(r)) for r in flooded for p in r)
    weighed = sorted(zip(found.defect.tolist(), found.weights.tolist(), strict=True))
    assert np.allclose(np.reshape(weighed, (-1, 2)), np.reshape(expected, (-1, 2)))


@pytest.mark.parametrize(("size", "found_at"), [(1, 9), (2, 8), (3, 8), (4, 7), (5, 7)])
def test_more_than_half_of_a_region_reaches_its_threshold(size, found_at):
    keys = np.arange(10 - size, 10, dtype=np.uint32)[None]
    assert regions(keys, np.ones((1, size), bool)).thresholds.tolist() == [found_at]
