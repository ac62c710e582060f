"""Methods by name. A new method is a folder beside this file and one line in ``METHODS``."""

from __future__ import annotations

from flawmap.errors import UsageError
from flawmap.methods.adps.method import AdpsMethod
from flawmap.methods.base import Method
from flawmap.methods.config import MethodConfig
from flawmap.methods.destseg.method import DestsegMethod
from flawmap.methods.stpm.method import StpmMethod

METHODS: dict[str, type[Method]] = {
    "destseg": DestsegMethod,
    "adps": AdpsMethod,
    "stpm": StpmMethod,
}


def find_preset(method: str, preset: str) -> MethodConfig:
    """Return a preset's configuration; UsageError listing the names if it does not exist."""
    if method not in METHODS:
        raise UsageError(f"Unknown method {method!r}: choose one of {', '.join(METHODS)}.")
    presets = METHODS[method].presets
    if preset not in presets:
        raise UsageError(f"{method} has no preset {preset!r}: choose one of {', '.join(presets)}.")
    return presets[preset]
