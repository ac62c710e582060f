"""Photographs through graphs that are not there: seams, shifts, batches and scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from flawmap.data.resize import Framing
from flawmap.inspection.scoring import Scoring
from flawmap.inspection.tiled import TiledInference
from flawmap.runtime.base import Backend

RADIUS = 3


class Local(Backend):
    """Sees ``RADIUS`` pixels far, beyond its window the colour of padding that networks have."""

    name = "local"
    size = (0, 0)

    def __init__(self, size=(32, 32)):
        self.size = size
        self.batches: list[int] = []

    def __call__(self, images):
        assert images.shape[1:] == (*self.size, 3)
        self.batches.append(len(images))
        grey = images.mean(3).astype(np.float32) / 255
        maps = ndimage.uniform_filter(grey, (0, 2 * RADIUS + 1, 2 * RADIUS + 1), mode="constant")
        return maps, maps.max((1, 2))


def look(size, fit, overlap=0, scoring=None):
    return TiledInference(Framing(size, fit, overlap), scoring or Scoring())


def photograph(height, width):
    return np.random.default_rng(8).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(70, 133), (64, 64), (32, 200), (33, 65)])
def test_tiles_are_the_single_pass_where_overlap_hides_how_far_the_graph_sees(size):
    """A fourth of the overlap counts for nothing on each side."""
    image = photograph(*size)
    single, score = look(size, "squash").one(Local(size), image)
    tiled, highest = look((32, 32), "tiles", 4 * RADIUS).one(Local(), image)
    assert tiled.shape == size
    np.testing.assert_allclose(tiled, single, atol=1e-5)
    assert highest == pytest.approx(score, abs=1e-5)


def test_too_small_an_overlap_shows():
    image = photograph(70, 133)
    single, _ = look((70, 133), "squash").one(Local((70, 133)), image)
    tiled, _ = look((32, 32), "tiles", 0).one(Local(), image)
    assert np.abs(tiled - single).max() > 0.1


@pytest.mark.parametrize("fit", ["squash", "letterbox", "tiles"])
def test_what_fits_one_window_is_the_single_pass_bit_for_bit(fit):
    image = photograph(32, 32)
    maps, scores = Local()(image[None])
    found, score = look((32, 32), fit).one(Local(), image)
    np.testing.assert_array_equal(found, maps[0])
    assert score == float(scores[0])


@pytest.mark.parametrize("shift", [(0, 20), (17, 0), (20, 20), (5, 41)])
def test_the_map_of_a_shifted_flaw_is_shifted(shift):
    seen = []
    for down, right in ((0, 0), shift):
        image = np.zeros((100, 120, 3), np.uint8)
        image[30 + down : 35 + down, 40 + right : 43 + right] = 255
        seen.append(look((32, 32), "tiles", 4 * RADIUS).one(Local(), image))
    (before, score), (after, other) = seen
    np.testing.assert_allclose(np.roll(before, shift, (0, 1)), after, atol=1e-6)
    assert other == pytest.approx(score)


def test_windows_come_in_small_batches_whatever_the_photograph(monkeypatch):
    monkeypatch.setattr("flawmap.inspection.tiled._PIXELS", 3 * 32 * 32)
    framing, graph = Framing((32, 32), "tiles", 12), Local()
    images = [framing.preprocess(photograph(100, 100)), framing.preprocess(photograph(20, 20))]
    found = list(TiledInference(framing, Scoring())(graph, images))
    assert [one.shape for one, _ in found] == [(100, 100), (20, 20)]
    assert sum(graph.batches) == 25 + 1
    assert max(graph.batches) == 3
    graph.batches.clear()
    list(TiledInference(framing, Scoring())(graph, images, batch=13))
    assert graph.batches == [13, 13]


def test_padding_counts_for_nothing():
    """A bright edge is repeated by the padding, where the graph finds more of it."""
    image = np.zeros((16, 32, 3), np.uint8)
    image[0] = 255
    framing = Framing((32, 32), "letterbox")
    maps, scores = Local()(framing.preprocess(image).tile(0)[None])
    found, score = TiledInference(framing, Scoring()).one(Local(), image)
    np.testing.assert_array_equal(found, maps[0][8:24])
    assert score == pytest.approx(float(found.max()))
    assert score < float(scores[0])


def test_a_score_of_its_own_is_lowered_as_the_map_is():
    class Halved(Local):
        def __call__(self, images):
            maps, scores = super().__call__(images)
            return maps, scores / 2

    image = photograph(16, 32)
    scoring = Scoring(top_pixels=5, score_sigma=1.0)
    found, score = look((32, 32), "tiles", scoring=scoring).one(Halved(), image)
    window = Framing((32, 32), "tiles").preprocess(image).tile(0)
    maps, scores = Halved()(window[None])
    assert score == pytest.approx(float(scores[0]) * scoring(found) / scoring(maps[0]))


def test_a_map_of_nothing_keeps_its_score():
    assert Scoring().share(np.zeros((2, 2), np.float32), np.zeros((4, 4), np.float32)) == 1.0
