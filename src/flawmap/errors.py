"""Errors that a person reads: one or two lines, what was wrong and how to fix it."""

from __future__ import annotations


class FlawmapError(Exception):
    """The work failed; the message says what was wrong and how to fix it (exit status 1)."""


class UsageError(FlawmapError):
    """Wrong call: an unknown name, a value out of range (exit status 2)."""
