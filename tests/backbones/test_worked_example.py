"""CONTRIBUTING's backbone of one's own, as it stands there, in a training."""

from __future__ import annotations

import re
import types
from pathlib import Path

import flawmap
from flawmap.backbones.registry import BACKBONES
from flawmap.inspection.inspector import Inspector

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = TEXT.split("## A backbone of your own")[1].split("\n## ")[0]
(CODE,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


def test_it_trains(tiny_data, tmp_path, monkeypatch):
    module = types.ModuleType("stripes")
    exec(CODE, module.__dict__)
    monkeypatch.setitem(BACKBONES, "stripes", module.STRIPES)
    flawmap.train(
        tiny_data, tmp_path / "run", method="stpm", teacher="stripes", size=(64, 64), steps=2,
        batch_size=2, rotate="slight",
    )  # fmt: skip
    teacher = Inspector.load(tmp_path / "run").manifest.teacher
    assert (teacher.backbone, teacher.licence) == ("stripes", "Apache-2.0")
