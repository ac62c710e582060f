"""Do parts lie alike? The whole way, with the teacher that ships."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.backbones.features import ImageNorm
from flawmap.backbones.weights import load_teacher
from flawmap.data.tiles import Tiles
from flawmap.training.choices.alignment import decide_alignment
from training.upright import SIDE, part, upright


@pytest.fixture(scope="module")
def stages():
    teacher, _ = load_teacher("pocket")
    return lambda x: teacher(ImageNorm(teacher.mean, teacher.std)(x))


def decide(images, stages, any_angle: bool = False, count: int | None = None):
    rows = np.arange(len(images) if count is None else count)
    return decide_alignment(images, rows, any_angle, stages, 0)


def test_upright_parts_lie_alike(stages):
    found = decide(upright(24), stages)
    assert found.aligned
    assert found.reason.startswith("as ")
    assert found.reason.endswith(
        "% of places match the same place of another good image best (limit 70 %)"
    )


def test_scattered_parts_do_not(stages):
    rng = np.random.default_rng(0)
    scattered = np.stack([np.roll(part(rng), rng.integers(0, SIDE, 2), (0, 1)) for _ in range(24)])
    assert not decide(scattered, stages).aligned


@pytest.mark.parametrize(
    ("any_angle", "count", "tiled", "why"),
    [
        (True, 24, False, "any angle"),
        (False, 24, True, "as a tile"),
        (False, 7, False, "7 good images are too few"),
    ],
)
def test_what_cannot_lie_alike_is_not_compared(any_angle: bool, count: int, tiled: bool, why: str):
    def never(x):
        raise AssertionError

    images = Tiles.__new__(Tiles) if tiled else upright(24)
    found = decide(images, never, any_angle, count)
    assert (found.aligned, why in found.reason) == (False, True)
