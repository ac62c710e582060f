"""DeSTSeg through the contract that every method passes; its own tests are beside this file."""

from __future__ import annotations

from typing import ClassVar

from methods.contract import MethodContract
from training.tiny import GENTLE


class TestDestseg(MethodContract):
    method = "destseg"
    presets = ("paper", "fast", "best")
    steps = 80
    tiny: ClassVar = {"student_width": 0.125}
    tiny_of: ClassVar = {
        "paper": {"head_widths": (8,)} | GENTLE["paper"],
        "fast": {"head_widths": (8, 8, 8)},
        "best": {"head_widths": (8, 8, 8)},
    }
    test_graph_equals_torch_for_one_image_and_many = None  # conversion/test_onnx.py, both presets
