"""A random sample of parts for reviews, so that rates of errors can be estimated from it.

Reviewers mostly see parts near a threshold, which says little about the others. The sample is made
of the parts whose image digest is below a limit: a SHA-256 does not depend on what the image shows,
when it came or how it was judged, so the sample is a random one, and each program and each database
can tell its members.
"""

from __future__ import annotations

from typing import Any

from flawmap.station.database.tables import Part

ONE_IN = 32  # parts of which one is in the sample
_BELOW = "08"  # of the digest's first two hex digits: 8 of 256


def is_sampled(image: str | None) -> bool:
    """Whether the part with an image of this SHA-256 is in the sample.

    >>> is_sampled("07" + 62 * "f"), is_sampled("08" + 62 * "0"), is_sampled(None)
    (True, False, False)
    """
    return image is not None and image < _BELOW


def in_sample() -> Any:
    """Return the condition that parts of the sample meet."""
    return Part.image < _BELOW
