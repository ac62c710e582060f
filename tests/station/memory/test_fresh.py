"""Values that are kept for a few seconds."""

from __future__ import annotations

from flawmap.station.memory.fresh import FreshCache


def test_a_value_is_kept_until_clear() -> None:
    cache: FreshCache[str] = FreshCache()
    assert cache.get("a") is None
    assert cache.load("a", lambda: "one") == "one"
    assert cache.get("a") == "one"
    cache.clear()
    assert cache.get("a") is None


def test_a_value_grows_too_old() -> None:
    cache: FreshCache[str] = FreshCache(seconds=-1.0)
    cache.load("a", lambda: "one")
    assert cache.get("a") is None


def test_nothing_is_kept_of_what_is_not_there() -> None:
    cache: FreshCache[str] = FreshCache()
    assert cache.load("a", lambda: None) is None
    assert cache.load("a", lambda: "one") == "one"


def test_what_was_read_during_a_change_is_not_kept() -> None:
    cache: FreshCache[str] = FreshCache()

    def read() -> str:
        cache.clear()  # somebody changes the user meanwhile
        return "old"

    assert cache.load("a", read) == "old"
    assert cache.get("a") is None


def test_an_attack_does_not_fill_the_memory() -> None:
    cache: FreshCache[int] = FreshCache()
    for i in range(10_001):
        cache.load(str(i), lambda: 1)
    assert cache.get("0") is None
    assert cache.get("10000") == 1
