"""Limits on failed logins: each failure beyond a few makes the next attempt wait longer."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_FORGET = 15 * 60.0  # seconds after the last failure
_MOST = 10_000  # names and addresses that are remembered


@dataclass(frozen=True)
class Limit:
    """`free` failures cost nothing; then waiting doubles from one second up to `longest`."""

    free: int
    longest: float

    def seconds(self, failures: int) -> float:
        """Return how long to wait after so many failures.

        >>> [Limit(5, 60.0).seconds(n) for n in (4, 5, 6, 8, 100)]
        [0.0, 1.0, 2.0, 8.0, 60.0]
        """
        if failures < self.free:
            return 0.0
        return min(self.longest, 2.0 ** min(failures - self.free, 30))


# A name waits briefly, so that nobody locks a colleague out for long; an address waits longer.
PER_NAME, PER_ADDRESS = Limit(5, 60.0), Limit(20, 600.0)


class Throttle:
    """Failed logins by name and by address, in memory: a restart forgets them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """Count an attempt as failed and return 0, or return the seconds that it must wait.

        Counting comes first, so that attempts at the same time cannot all be free.
        """
        with self._lock:
            pairs = self._pairs(name, address)
            waiting = max(self._wait(key, limit) for key, limit in pairs)
            if waiting > 0:
                return waiting
            for key, _ in pairs:
                self._failures[key] = (self._count(key) + 1, self._clock())
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST:
                self._failures.popitem(last=False)
            return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the name's failures, and take back that of this attempt from the address."""
        with self._lock:
            (by_name, _), (by_address, _) = self._pairs(name, address)
            self._failures.pop(by_name, None)
            if by_address in self._failures:
                count, at = self._failures[by_address]
                self._failures[by_address] = (count - 1, at)

    def _pairs(self, name: str, address: str) -> tuple[tuple[str, Limit], tuple[str, Limit]]:
        return (f"name {name.casefold()}", PER_NAME), (f"from {network_of(address)}", PER_ADDRESS)

    def _count(self, key: str) -> int:
        count, at = self._failures.get(key, (0, 0.0))
        return 0 if self._clock() - at > _FORGET else count

    def _wait(self, key: str, limit: Limit) -> float:
        count = self._count(key)
        if not count:
            return 0.0
        return limit.seconds(count) - (self._clock() - self._failures[key][1])


def network_of(address: str) -> str:
    """Return what one attacker holds: an IPv4 address, or the /64 of an IPv6 address.

    >>> network_of("2001:db8::17:5"), network_of("192.0.2.7"), network_of("?")
    ('2001:db8::/64', '192.0.2.7', '?')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
