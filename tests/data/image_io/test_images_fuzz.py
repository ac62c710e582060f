"""Mutated images, as the campaign of ``benchmarks/fuzz.py`` makes them by the thousand."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flawmap.data.image_io.images import ImageError, read_image
from flawmap.data.masks.decoding import marks_anything, read_mask

QUICK = settings(
    max_examples=400,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "benchmarks"))


@pytest.mark.usefixtures("benchmarks")
@QUICK
@given(st.integers(0, 10**6))
def test_an_image_or_an_error_of_a_line_or_two(case: int) -> None:
    from fuzz_images import mutated

    told, data = mutated(1, case)
    message = "fine"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = read_image(data, max_pixels=10**7)
            assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3), told
            assert set(np.unique(read_mask(data, (9, 5)))) <= {0, 1}, told
            marks_anything(data)
        except ImageError as error:
            message = str(error)
    assert 1 <= len(message.splitlines()) <= 2, told
    assert "APNG" not in message, "a warning aloud, for every odd file of a folder"


@pytest.mark.usefixtures("benchmarks")
def test_every_seed_is_what_it_says() -> None:
    """Else the campaign would beat on the door alone."""
    from fuzz_images import seeds

    refused = []
    for name, data in seeds():
        try:
            read_image(data)
        except ImageError:
            refused.append(name)
    assert refused == [
        *(f"tiff float with {value}" for value in ("nan", "inf", "-inf", "1e+38")),
        "gif of no kind", "tiff signed", "nothing", "text",
    ]  # fmt: skip
