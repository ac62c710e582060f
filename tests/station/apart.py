"""Coroutines in a thread of their own: in the tests' one, Playwright may keep a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end; return its result, or raise its error."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
