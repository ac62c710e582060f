"""CONTRIBUTING's method of one's own, as it stands there, through the contract."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from flawmap.methods.registry import METHODS

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("## A method of your own\n")[2].partition("\n## ")[0]
METHOD, TEST = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(autouse=True, scope="module")
def registered():
    module = types.ModuleType("squeeze")
    sys.modules["squeeze"] = module
    exec(METHOD, module.__dict__)
    METHODS["squeeze"] = module.SqueezeMethod
    yield
    del METHODS["squeeze"], sys.modules["squeeze"]


exec(TEST, globals())  # its class, TestSqueeze, which pytest collects here
