"""Resizing: the same bits by one thread, by two, and by Pillow's two passes over the whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flawmap.data.image_io import resizing
from flawmap.errors import UsageError

BILINEAR = Image.Resampling.BILINEAR


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("shape", [(1024, 1024), (601, 1333), (1, 600_000), (2000, 300)])
@pytest.mark.parametrize("size", [(256, 256), (77, 513)])
def test_halves_give_the_bits_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    channels: tuple[int, ...],
    shape: tuple[int, int],
    size: tuple[int, int],
) -> None:
    monkeypatch.setattr(resizing, "available_cores", lambda: cores)
    array = np.random.default_rng(0).integers(0, 256, shape + channels, np.uint8)
    image = Image.fromarray(array)
    across = image.resize((size[1], shape[0]), BILINEAR)
    expected = np.asarray(across.resize((size[1], size[0]), BILINEAR))
    for given in (image, array):
        np.testing.assert_array_equal(np.asarray(resizing.resized(given, size)), expected)


def test_an_error_of_the_second_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resizing, "available_cores", lambda: 2)
    across = resizing._across

    def fails(image: object, top: int, bottom: int, width: int) -> Image.Image:
        if top:
            raise MemoryError
        return across(image, top, bottom, width)  # type: ignore[arg-type]

    monkeypatch.setattr(resizing, "_across", fails)
    with pytest.raises(MemoryError):
        resizing.resized(np.zeros((1024, 1024), np.uint8), (8, 8))


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be 0 pixels high"):
        resizing.resized(np.zeros((4, 4), np.uint8), (0, 4))
