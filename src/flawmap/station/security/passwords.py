"""Passwords: argon2 hashes, checked a few at a time because each takes 64 MiB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from flawmap.station.refusals import RefusedError

SHORTEST, LONGEST = 10, 200
_AT_ONCE, _WAITING = 2, 8
_hasher = PasswordHasher()
_running = threading.Semaphore(_AT_ONCE)
_admitted = threading.Semaphore(_AT_ONCE + _WAITING)


def check_password(password: str, name: str) -> None:
    """Raise RefusedError for a password that is too easy to guess."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise RefusedError(f"A password has {SHORTEST} to {LONGEST} characters.")
    if password.casefold() == name.casefold() or len(set(password)) < 4:
        raise RefusedError("This password is easy to guess: choose another one.")


def hash_password(password: str) -> str:
    """Return the argon2 hash of a password, with its salt and parameters."""
    with _turn():
        return _hasher.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Whether a password belongs to a stored hash; takes as long where there is no such user."""
    with _turn():
        try:
            _hasher.verify(stored or _nobodys(), password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
        return bool(stored)


@cache
def _nobodys() -> str:
    return _hasher.hash("the password of nobody")


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for a turn; too many that wait would take all threads from the inspections."""
    if not _admitted.acquire(blocking=False):
        raise RefusedError("Too many people log in at once: try again in a second.", 429)
    try:
        with _running:
            yield
    finally:
        _admitted.release()
