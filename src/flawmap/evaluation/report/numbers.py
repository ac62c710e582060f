"""Numbers and names as a person reads them, and the interval of a counted share."""

from __future__ import annotations

import math
import re

from flawmap.inspection.conformal import share_interval

ABSENT = "—"
PERCENT = "\u00a0%"  # stays on the line of its number
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def without_controls(text: str) -> str:
    """Replace control characters, which HTML forbids, by U+FFFD."""
    return _CONTROL.sub("\ufffd", text)


def fraction(value: float | int | None, digits: int = 3) -> str:
    """Write a fraction with fixed digits, or a dash if it is absent or not finite."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:.{digits}f}"


def short(value: float | int | None) -> str:
    """Write four significant digits, without an exponent between 0.0001 and 10 million.

    >>> short(0.123456), short(1234567), short(1e-7), short(float("nan"))
    ('0.1235', '1,234,567', '1e-07', '—')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(count: int, of: int) -> str:
    """Write a share in per cent; never 100 % or 0 % unless it is all or none.

    >>> print(percent(1, 3), percent(1999, 2000), percent(0, 5), percent(0, 0), sep=", ")
    33.3 %, 99.9 %, 0 %, —
    """
    if of == 0:
        return ABSENT
    if count in (0, of):
        return ("100" if count else "0") + PERCENT
    return f"{min(max(100 * count / of, 0.1), 99.9):.1f}{PERCENT}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Write a count with its noun.

    >>> plural(1, "image"), plural(2000, "image")
    ('1 image', '2,000 images')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def duration(seconds: float) -> str:
    """Write a duration in the units that suit it.

    >>> duration(42.25), duration(600), duration(7384)
    ('42.2 s', '10 min 0 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def interval_text(count: int, of: int) -> str:
    """Write the 95 % interval of a share in per cent, or a dash.

    >>> print(interval_text(9, 10), interval_text(10, 10), sep=", ")
    55.5–99.7 %, 69.2–100 %
    """
    if of == 0:
        return ABSENT
    low, high = share_interval(count, of)
    return "–".join(f"{100 * end:.1f}".removesuffix(".0") for end in (low, high)) + PERCENT
