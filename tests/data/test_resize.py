"""Windows of photographs: where they lie, and what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawmap import UsageError
from flawmap.data.image_io.images import resize_image
from flawmap.data.resize import Framing, default_overlap
from flawmap.inspection.blending import axis_weights

RNG = np.random.default_rng(5)


def photograph(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


@st.composite
def framings(draw):
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    fit = draw(st.sampled_from(["squash", "letterbox", "tiles"]))
    overlap = draw(st.integers(0, min(size) // 2)) if fit == "tiles" else 0
    return Framing(size, fit, overlap)


@given(framings(), st.tuples(st.integers(1, 150), st.integers(1, 150)))
def test_windows_lie_inside_and_cover_everything_with_weights_of_1(framing, size):
    layout = framing.layout(size)
    covered = np.zeros(layout.padded_size)
    down = axis_weights(layout.tops, framing.size[0])
    across = axis_weights(layout.lefts, framing.size[1])
    assert down.min() >= 0.0
    assert across.min() >= 0.0
    for index in range(layout.count):
        row, column = divmod(index, len(layout.lefts))
        place = layout.tile(index)
        assert covered[place].shape == framing.size
        covered[place] += down[row][:, None] * across[column]
    np.testing.assert_allclose(covered, 1.0, atol=1e-6)


@given(framings(), st.tuples(st.integers(1, 150), st.integers(1, 150)))
def test_neighbouring_tiles_overlap_as_asked(framing, size):
    layout = framing.layout(size)
    for starts, side in zip((layout.tops, layout.lefts), framing.size, strict=True):
        assert max(np.diff(starts), default=0) <= side - framing.overlap
    assert (layout.tops[0], layout.lefts[0]) == (0, 0)
    last = layout.tile(layout.count - 1)
    assert (last[0].stop, last[1].stop) == layout.padded_size


def test_no_more_tiles_than_it_takes():
    layout = Framing((256, 256), "tiles", 64).layout((2048, 4096))
    assert (len(layout.tops), len(layout.lefts)) == (11, 21)
    assert layout.tops[:3] == (0, 192, 384)
    assert layout.map_size == layout.padded_size == (2048, 4096)


@pytest.mark.parametrize("fit", ["squash", "letterbox", "tiles"])
def test_a_photograph_of_the_working_size_is_left_alone(fit):
    image = photograph(32, 48)
    padded = Framing((32, 48), fit).preprocess(image)
    assert padded.layout.count == 1
    assert not padded.layout.padded
    assert np.shares_memory(padded.tile(0), image)


def test_squashed_is_resized_whatever_the_shape():
    image = photograph(50, 90)
    padded = Framing((32, 32)).preprocess(image)
    np.testing.assert_array_equal(padded.tile(0), resize_image(image, (32, 32)))


@pytest.mark.parametrize(
    ("photograph_size", "map_size", "place"),
    [
        ((100, 50), (64, 32), np.s_[:, 16:48]),
        ((50, 100), (32, 64), np.s_[16:48, :]),
        ((64, 64), (64, 64), np.s_[:, :]),
        ((16, 8), (64, 32), np.s_[:, 16:48]),
        ((1000, 1), (64, 1), np.s_[:, 31:32]),
    ],
)
def test_a_letterbox_keeps_the_shape_and_repeats_the_edge(photograph_size, map_size, place):
    image = photograph(*photograph_size)
    padded = Framing((64, 64), "letterbox").preprocess(image)
    assert padded.layout.map_size == map_size
    (window,) = (padded.tile(index) for index in range(padded.layout.count))
    np.testing.assert_array_equal(window[place], resize_image(image, map_size))
    assert window[padded.layout.image_in_tile].shape[:2] == map_size
    rows, columns = padded.layout.image_in_padded
    assert (window[: rows.start] == window[rows.start]).all()
    assert (window[:, columns.stop :] == window[:, columns.stop - 1 : columns.stop]).all()


def test_a_photograph_smaller_than_a_tile_is_padded_where_it_is():
    image = photograph(20, 100)
    padded = Framing((32, 32), "tiles", 8).preprocess(image)
    assert padded.layout.map_size == (20, 100)
    assert padded.pixels.shape == (32, 100, 3)
    assert padded.layout.image_in_tile == (slice(6, 26), slice(0, 32))
    for index in range(padded.layout.count):
        columns = padded.layout.tile(index)[1]
        np.testing.assert_array_equal(padded.tile(index)[6:26], image[:, columns])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"fit": "tiles", "overlap": 17}, "overlap 17 .* tiles of 32x48 pixels: give 0 to 16"),
        ({"fit": "tiles", "overlap": -1}, "overlap -1"),
        ({"overlap": 8}, "Only tiles can overlap"),
        ({"fit": "crop"}, "Unknown fit 'crop': give one of squash, letterbox, tiles"),
    ],
)
def test_what_does_not_go_together(options, told):
    with pytest.raises(UsageError, match=told):
        Framing((32, 48), **options)


@pytest.mark.parametrize(
    ("size", "overlap"), [((256, 256), 64), ((512, 640), 128), ((320, 320), 64), ((64, 64), 16)]
)
def test_the_usual_overlap(size, overlap):
    assert default_overlap(size) == overlap
