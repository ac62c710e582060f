from __future__ import annotations

import pytest

from flawmap.errors import UsageError
from flawmap.methods.registry import METHODS, find_preset


def test_every_preset_is_named_after_itself():
    for method, entry in METHODS.items():
        for name in entry.presets:
            assert find_preset(method, name).preset == name


@pytest.mark.parametrize(
    ("method", "preset", "message"),
    [("destsegg", "fast", "destseg"), ("destseg", "quick", "paper, fast")],
)
def test_unknown_names_list_the_known(method, preset, message):
    with pytest.raises(UsageError, match=message):
        find_preset(method, preset)
