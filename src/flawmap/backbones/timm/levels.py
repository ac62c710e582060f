"""Which of a network's feature levels a backbone gives."""

from __future__ import annotations

from collections.abc import Sequence

_STRIDES = range(4, 17)  # as ResNet's stages 1-3
_DEPTHS = (1 / 4, 1 / 2, 3 / 4)  # of a vision transformer's blocks; the last ones are for classes


def choose_levels(strides: Sequence[int]) -> tuple[int, ...]:
    """Return the indices of at most three levels, finest first.

    ``strides``: of all levels that the network offers. Of several strides, those from 4 to 16 are
    taken, each at its deepest level; of one stride, levels at a quarter, half and three quarters of
    the depth.

    >>> choose_levels([2, 4, 8, 16, 32]), choose_levels([14] * 12)
    ((1, 2, 3), (2, 5, 8))
    """
    if len(set(strides)) == 1:
        depth = len(strides)
        return tuple(sorted({max(1, round(depth * share)) - 1 for share in _DEPTHS}))
    deepest = {stride: index for index, stride in enumerate(strides)}
    usual = [stride for stride in sorted(deepest) if stride in _STRIDES]
    return tuple(deepest[stride] for stride in (usual or sorted(deepest))[:3])
