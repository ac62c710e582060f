"""The two streams that the command line prints to."""

from __future__ import annotations

from typing import Any

from rich.console import Console

# print paths and messages literally, without markup
_plain: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False, "emoji": False}
console = Console(**_plain)
errors = Console(stderr=True, **_plain)
