"""Detect good images that seem to show the same part, if no ``--group`` is given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flawmap.utils.rng import Stream, generator

_SIDE = 32  # pixels of a side for comparing neighbours
_COMPARED = 400  # images compared
_FEWEST = 10  # fewest images for a hint
_SPAN = 10  # files farther apart than this in the list show different parts
_PAIRS = 4000  # number of pairs of such files
# In the good images of screw, toothbrush, transistor, KolektorSDD, a fabric and a road, at most 2 %
# of neighbours are nearer than half the 5 % quantile of other pairs; with two images a part, 51 %.
_NEAR = 0.5
_QUANTILE = 0.05
_SHARE = 0.2


def burst_hint(image: Callable[[int], NDArray[np.uint8]], rows: NDArray[np.int64]) -> str | None:
    """Return a hint if many neighbours in a list of images are nearly identical.

    ``image`` returns the image (h, w, 3) of a row; ``rows`` is in the order of the files.
    Distances of neighbours are judged against those of images farther apart, so that
    products whose parts are all alike do not raise the hint.
    """
    count = min(len(rows), _COMPARED)
    if count < _FEWEST:
        return None
    small = [_shrink(image(row)) for row in rows[:count].tolist()]
    if len({one.shape for one in small}) > 1:  # tiled images of several sizes
        return None
    near = np.abs(np.diff(np.stack(small), axis=0)).mean(1)
    first, second = generator(0, Stream.PAIRS).integers(0, count, (2, _PAIRS))
    apart = np.abs(first - second) > min(_SPAN, count // 4)
    pairs = zip(first[apart].tolist(), second[apart].tolist(), strict=True)
    far = [float(np.abs(small[i] - small[j]).mean()) for i, j in pairs]
    alike = int(np.count_nonzero(near < _NEAR * np.quantile(far, _QUANTILE)))
    if alike < _SHARE * len(near):
        return None
    return (
        f"{alike} of {len(near)} neighbouring good images are nearly identical. If they show the "
        "same part, it is trained on and also sets the thresholds, whose guarantee is then too "
        r"optimistic: say what identifies a part, such as --group '(part\d+)' or --group folder."
    )


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average brightness over cells, (_SIDE * _SIDE,); fewer cells in a smaller image."""
    height, width = (max(1, side // _SIDE) for side in image.shape[:2])
    rows, columns = (min(side, _SIDE) for side in image.shape[:2])
    cells = image[: rows * height, : columns * width].reshape(rows, height, columns, width, -1)
    brightness: NDArray[np.float32] = cells.mean(axis=(1, 3, 4), dtype=np.float32).ravel()
    return brightness
