"""Optional packages, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from flawmap.errors import FlawmapError


def need(module: str, what: str, extra: str) -> Any:
    """Import an optional package; raise FlawmapError naming the extra if it is not installed.

    ``what`` needs it, in words that begin a sentence.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise FlawmapError(
            f"{what} needs {package}: pip install 'flawmap[{extra}]' ({error})"
        ) from error
