"""What every method's configuration holds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from flawmap.methods.config import MethodConfig, check_size


@pytest.mark.parametrize(
    ("size", "cell", "offered"),
    [
        ((100, 64), 32, "96x64"),
        ((640, 250), 128, "640x256"),
        ((10, 10), 32, "32x32"),
        ((0, 64), 32, "32x64"),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest(size, cell, offered):
    with pytest.raises(ValueError, match=f"multiples of {cell} pixels here, such as {offered}"):
        check_size(size, cell)


@pytest.mark.parametrize("size", [(256, 256), (640, 256), (32, 64)])
def test_sizes_need_not_be_square(size):
    assert MethodConfig(size=size).size == size


def test_steps_come_from_epochs_where_there_are_any():
    config = MethodConfig(batch_size=8, steps=10, steps_when_turned=30)
    assert [config.steps_for(r, 100) for r in ("none", "slight", "full")] == [10, 10, 30]
    passes = config.model_copy(update={"epochs": 4})
    assert {passes.steps_for(r, 100) for r in ("none", "full")} == {50}
    assert passes.steps_for("none", 1) == 2, "one for each phase"


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="extra"):
        MethodConfig(sise=(64, 64))
