"""Limits on failed logins."""

from __future__ import annotations

from flawmap.station.memory.throttle import PER_ADDRESS, PER_NAME, Throttle


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_failures_of_a_name_make_it_wait_longer_each_time() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for i in range(PER_NAME.free):
        assert throttle.begin("Ann", f"192.0.2.{i}") == 0
    assert throttle.begin("ann", "192.0.2.99") == 1.0  # in capitals or not, from anywhere
    clock.at += 1.0
    assert throttle.begin("ann", "192.0.2.99") == 0
    assert throttle.begin("ann", "192.0.2.98") == 2.0


def test_attempts_while_one_waits_do_not_count() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(100):
        throttle.begin("ann", "192.0.2.1")
    clock.at += 1.0
    assert throttle.begin("ann", "192.0.2.1") == 0


def test_an_address_is_limited_over_all_names() -> None:
    throttle = Throttle(Clock())
    for i in range(PER_ADDRESS.free):
        assert throttle.begin(f"user {i}", "2001:db8::1") == 0
    assert throttle.begin("another", "2001:db8::2") == 1.0  # the same network
    assert throttle.begin("another", "2001:db8:1::") == 0


def test_a_success_forgets_the_name_but_not_other_failures_of_the_address() -> None:
    throttle = Throttle(Clock())
    for i in range(PER_ADDRESS.free - 1):
        throttle.begin(f"user {i}", "192.0.2.1")
    assert throttle.begin("ann", "192.0.2.1") == 0
    throttle.succeeded("ann", "192.0.2.1")
    assert throttle.begin("ann", "192.0.2.1") == 0  # this one is the last that is free
    assert throttle.begin("ann", "192.0.2.1") > 0


def test_failures_are_forgotten_after_a_while() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(PER_NAME.free):
        throttle.begin("ann", "192.0.2.1")
    clock.at += 16 * 60
    assert throttle.begin("ann", "192.0.2.1") == 0


def test_memory_is_bounded() -> None:
    throttle = Throttle(Clock())
    for i in range(6000):
        throttle.begin(f"user {i}", f"10.0.{i // 256}.{i % 256}")
    assert len(throttle._failures) <= 10_000
