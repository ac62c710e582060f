"""Memory that Python has freed and the C library still holds."""

from __future__ import annotations

import contextlib
import ctypes
import sys


def return_freed_memory() -> None:
    """Return freed memory to the system, where the C library is glibc; nothing elsewhere.

    Loading a model frees several copies of it, of which glibc keeps some 30 MB for later.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library, such as musl
            ctypes.CDLL(None).malloc_trim(0)
