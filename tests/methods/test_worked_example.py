"""CONTRIBUTING's method of one's own, as it stands there, through the contract."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from flawmap.methods.registry import METHODS
from methods.contract import MethodContract

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
METHOD, TEST = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True, scope="module")
def registered():
    module = types.ModuleType("squeeze")
    sys.modules["squeeze"] = module
    exec(METHOD, module.__dict__)
    METHODS["squeeze"] = module.SqueezeMethod
    yield
    del METHODS["squeeze"], sys.modules["squeeze"]


class TestExample(MethodContract):
    method = "squeeze"


def test_its_test_is_ten_lines():
    assert "class TestSqueeze(MethodContract):" in TEST
    assert len(TEST.splitlines()) <= 10
