"""Names of types that many parts share, each defined once."""

from __future__ import annotations

from typing import Literal

Size = tuple[int, int]
"""Height and width in pixels."""
Label = Literal["good", "defective"]
"""What an image is known to show."""
Verdict = Literal["good", "review", "reject"]
"""What an inspector says of an image."""
Fit = Literal["squash", "letterbox", "tiles"]
"""How an image of any size becomes images of the working size."""
Rotation = Literal["none", "slight", "full", "draem"]
"""How good images are rotated in training."""
RotationChoice = Literal["auto", "none", "slight", "full", "draem"]
"""The same, or ``auto``: as the good images suggest."""
Precision = Literal["float32", "bf16"]
"""What a network computes in."""
PrecisionChoice = Literal["auto", "float32", "bf16"]
"""The same, or ``auto``: as the processor has instructions for it."""
ExportPrecision = Literal["float32", "bf16", "int8"]
"""What an exported graph computes in."""
