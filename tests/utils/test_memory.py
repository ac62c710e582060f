"""Memory that the C library holds."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from flawmap.utils.memory import return_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory so")
def test_freed_memory_goes_back_to_the_system() -> None:
    blocks = [bytearray(10_000) for _ in range(8_000)]  # small enough to come from the heap
    kept, full = blocks[-1], _resident()  # its place at the top keeps the heap from shrinking
    del blocks
    return_freed_memory()
    assert _resident() < full - 40_000
    assert kept


def _resident() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1])
