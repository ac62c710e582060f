"""What was asked for, as a configuration."""

from __future__ import annotations

import pytest

from flawmap.errors import UsageError
from flawmap.training.options import Options


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "auto"),
        ({"preset": "paper"}, "float32"),
        ({"preset": "paper", "precision": "bf16"}, "bf16"),
        ({"precision": "float32"}, "float32"),
        ({"changes": {"precision": "bf16"}}, "bf16"),
    ],
)
def test_precision_is_the_presets_unless_asked_otherwise(asked, expected):
    assert Options("parts", **asked).configure().precision == expected


def test_a_precision_that_is_none_is_refused_by_its_option():
    with pytest.raises(UsageError, match="--precision fp8: "):
        Options("parts", precision="fp8").configure()
