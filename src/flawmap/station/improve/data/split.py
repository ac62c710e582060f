"""Which reviewed parts a new inspector learns from, and on which later ones it is compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

COMPARED = 0.3
"""Share of the reviewed parts, the latest ones, that are kept for the comparison."""
CONTRADICTED = "the same image was decided good and reject"
SAME_IMAGE = "its image was learned from"
SAME_PART = "another image of the part was learned from"
COPY = "its image is in the set already"


@dataclass(frozen=True)
class Reviewed:
    """A part with a decision (`good` or `reject`) and a stored image of `size` (H, W).

    `verdict`: the inspector's when it came.
    """

    part: int
    image: str
    suffix: str
    number: str | None
    received_at: int
    decision: str
    size: tuple[int, int]
    verdict: str | None = None


@dataclass
class Split:
    """Parts to learn from (all before `cut`), parts to compare on, and parts left out, with why."""

    cut: int | None = None
    learned: list[Reviewed] = field(default_factory=list)
    compared: list[Reviewed] = field(default_factory=list)
    left_out: list[tuple[Reviewed, str]] = field(default_factory=list)


def split(
    parts: Sequence[Reviewed],
    images: Collection[str] = (),
    numbers: Collection[str] = (),
    share: float = COMPARED,
    after: int | None = None,
) -> Split:
    """Split reviewed parts by time; no part number and no image is on both sides.

    `images` and `numbers` are learned from anyway, or were by the inspector to compare with. Parts
    to compare on were received later than `after`, the newest that this inspector learned from.
    """
    done = Split()
    contradicted = _contradicted(parts)
    usable = []
    for one in sorted(parts, key=lambda part: (part.received_at, part.part)):
        if one.image in contradicted:
            done.left_out.append((one, CONTRADICTED))
        else:
            usable.append(one)
    if not usable:
        return done
    first = min(len(usable) - 1, math.ceil(len(usable) * (1 - share)))
    done.cut = max(usable[first].received_at, 0 if after is None else after + 1)
    early = [one for one in usable if one.received_at < done.cut]
    late = [one for one in usable if one.received_at >= done.cut]
    done.learned = _each_once(early, set(), done)
    seen = set(images) | {one.image for one in early}
    known = set(numbers) | {one.number for one in early if one.number is not None}
    apart = []
    for one in late:
        if one.image in seen:
            done.left_out.append((one, SAME_IMAGE))
        elif one.number is not None and one.number in known:
            done.left_out.append((one, SAME_PART))
        else:
            apart.append(one)
    done.compared = _each_once(apart, set(), done)
    return done


def _contradicted(parts: Sequence[Reviewed]) -> set[str]:
    decisions: dict[str, set[str]] = defaultdict(set)
    for one in parts:
        decisions[one.image].add(one.decision)
    return {image for image, found in decisions.items() if len(found) > 1}


def _each_once(parts: Sequence[Reviewed], seen: set[str], done: Split) -> list[Reviewed]:
    kept = []
    for one in parts:
        if one.image in seen:
            done.left_out.append((one, COPY))
            continue
        seen.add(one.image)
        kept.append(one)
    return kept
