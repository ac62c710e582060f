"""Passwords."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, extract_parameters

from flawmap.station.refusals import RefusedError
from flawmap.station.security import passwords


def test_the_real_hash_is_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    used = extract_parameters(passwords.hash_password("seven wet bricks"))
    assert (used.time_cost, used.memory_cost, used.parallelism) == (3, 65536, 4)  # RFC 9106


def test_a_password_is_checked() -> None:
    stored = passwords.hash_password("seven wet bricks")
    assert stored != passwords.hash_password("seven wet bricks")
    assert passwords.is_password(stored, "seven wet bricks")
    assert not passwords.is_password(stored, "seven wet brick")


def test_many_logins_at_once_do_not_take_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    go, running = threading.Event(), threading.Semaphore(0)

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            running.release()
            return go.wait(10) and super().verify(hash, password)

    stored = passwords.hash_password("seven wet bricks")
    monkeypatch.setattr(passwords, "_hasher", Slow(1, 64, 1))
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(passwords.is_password, stored, "seven wet bricks") for _ in range(40)]
        running.acquire(timeout=10)
        while sum(one.done() for one in asked) < 30:
            pass
        go.set()
    refused = [one for one in asked if isinstance(one.exception(), RefusedError)]
    assert len(refused) == 30
    assert all(one.result() for one in asked if one not in refused)
