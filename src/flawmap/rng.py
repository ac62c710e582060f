"""Counter-based randomness: what is drawn is a pure function of (seed, stream, index).

No generator carries state from one step to the next, so a run that is killed and resumed, or cut
into slices over several ranks, draws what the run never killed draws.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a draw is for; two streams never share a number."""

    SPLIT = 1
    WEIGHTS = 2
    ORDER = 3
    ROTATION = 4
    ANOMALY = 5
    DRIFT = 6
    TILES = 7


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """Philox generator keyed by (seed, stream) and starting at counter block ``index``.

    >>> a, b = generator(3, Stream.ORDER, 7), generator(3, Stream.ORDER, 7)
    >>> bool(a.random() == b.random())
    True
    """
    key = np.array([seed % 2**64, int(stream)], dtype=np.uint64)
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
