"""Types that many modules share, each defined once."""

from __future__ import annotations

from typing import Literal

Size = tuple[int, int]
"""Height and width in pixels."""
Label = Literal["good", "defective"]
"""Label of an image: whether it shows a good part or a defective one."""
Verdict = Literal["good", "review", "reject"]
"""Verdict of an inspector on an image."""
Fit = Literal["squash", "letterbox", "tiles"]
"""How an image of any size is fitted to the working size."""
Rotation = Literal["none", "slight", "full", "draem"]
"""How good images are rotated in training."""
RotationChoice = Literal["auto", "none", "slight", "full", "draem"]
"""Rotation to train with, or ``auto``: the good images decide."""
Precision = Literal["float32", "bf16"]
"""Numerical precision of a network in training."""
PrecisionChoice = Literal["auto", "float32", "bf16"]
"""Precision of training, or ``auto``: the processor's instructions decide."""
ExportPrecision = Literal["float32", "bf16", "int8"]
"""Numerical precision of an exported model."""
