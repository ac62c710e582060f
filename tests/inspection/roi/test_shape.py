"""Which shapes are alike: any scale, and rounding to whole pixels."""

from __future__ import annotations

import pytest

from flawmap.inspection.roi.shape import extent, is_like


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((380, 600), (380, 600), True),
        ((380, 600), (3800, 6000), True),
        ((380, 600), (127, 200), True),
        ((380, 600), (4, 6), True),
        ((380, 600), (256, 256), False),
        ((380, 600), (600, 380), False),
        ((380, 600), (380, 610), False),
        ((1, 1), (1, 9), False),
    ],
)
def test_alike(one: tuple[int, int], other: tuple[int, int], expected: bool) -> None:
    assert is_like(one, other) == is_like(other, one) == expected


def test_width_is_named_first() -> None:
    assert extent((380, 600)) == "600 x 380 pixels"
