"""Counter-based random numbers: each draw is a pure function of (seed, stream, index).

No generator keeps state between steps, so a run that is killed and resumed, or split over several
ranks, draws the same numbers as an uninterrupted run.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """Purpose of a draw; two streams never share a number.

    All are above 0 and below 2**32: the other words are :func:`from_words`'s.
    """

    SPLIT = 1
    WEIGHTS = 2
    ORDER = 3
    ROTATION = 4
    ANOMALY = 5
    DRIFT = 6
    TILES = 7
    SAMPLE = 8
    TEXTURE = 9
    TEXTURE_FILES = 10
    DEFECTS = 11
    DEFECT_TEXTURE = 12
    PAIRS = 13
    OUTLIERS = 14
    MEMORY = 15
    KNOWN = 16


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """Return a Philox generator keyed by (seed, stream), starting at counter block ``index``.

    >>> a, b = generator(3, Stream.ORDER, 7), generator(3, Stream.ORDER, 7)
    >>> bool(a.random() == b.random())
    True
    """
    key = np.array([seed % 2**64, int(stream)], dtype=np.uint64)
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def from_words(seed: int, word: int) -> np.random.Generator:
    """Return a Philox generator keyed by (seed, word), for draws outside training.

    ``word`` is 0 or at least 2**32, where there is no stream; raises ValueError otherwise.
    """
    if 0 < word < 2**32:
        raise ValueError(f"word {word} may be a stream's: give 0, or 2**32 and above")
    return keyed(seed, word)


def keyed(seed: int, word: int) -> np.random.Generator:
    """Return a Philox generator keyed by (seed, word), for distillation.

    Its numbers may be those of a training's stream, with which it has nothing in common.
    """
    key = np.array([seed % 2**64, word], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
