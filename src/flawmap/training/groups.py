"""Which good images are shots of one part: named by ``--group``, or guessed from their likeness.

Shots of one part are no independent parts: one to learn from and another to set the thresholds
would make these look better than they are. A group therefore stays on one side of every split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.datasets.base import plural
from flawmap.errors import UsageError
from flawmap.rng import Stream, generator

FOLDER = "folder"

_SIDE = 32  # pixels of a side at which neighbours are compared
_COMPARED = 400  # images looked at
_FEWEST = 10  # images of which anything can be said
_SPAN = 10  # files that lie farther apart than this show different parts
_PAIRS = 4000  # of such files
# In the good images of screw, toothbrush, transistor, KolektorSDD, a fabric and a road at most 2 %
# of neighbours lie nearer than half of what 1 in 20 pairs of others does; of shots in twos 51 %.
_NEAR = 0.5
_QUANTILE = 0.05
_SHARE = 0.2


def group_images(
    paths: Sequence[Path], root: Path, rule: str | int | None, sha256: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Group number of each image, counted from 0 in the order of the images.

    ``rule``: a regular expression that is searched for in the path below ``root`` (with slashes):
    images with the same text in its parentheses, or in the whole match where it has none, are one
    group, and one without a match stands alone. "folder" or a number: images in the same folder,
    or below the same folder so many levels up (1 is "folder"). None: every image stands alone.
    Groups that share a file's content (``sha256``) are one. Raises UsageError where the rule is
    none, or matches no image.
    """
    if rule is None:
        names = [str(index) for index in range(len(paths))]
    else:
        names = _named(paths, root, str(rule))
    return _numbers(_joined(names, sha256) if sha256 else names)


def _named(paths: Sequence[Path], root: Path, rule: str) -> list[str]:
    below = [path_below(path, root) for path in paths]
    level = 1 if rule == FOLDER else int(rule) if rule.isdecimal() else None
    if level == 0:
        raise UsageError("--group 0: folders count from 1, the one that the image lies in.")
    if level is not None:
        return ["folder " + "/".join(name.split("/")[:-level]) for name in below]
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(f"--group {rule}: no regular expression ({error}).") from error
    found = [_text(pattern.search(name)) for name in below]
    if paths and not any(found):
        raise UsageError(
            f"--group {rule} matches none of the {plural(len(below), 'good image(s)')}, such as "
            f"{below[0]}: it is searched for in the path below the data folder."
        )
    return [f"match {text}" if text else f"alone {index}" for index, text in enumerate(found)]


def path_below(path: Path, root: Path) -> str:
    """The path of an image below a folder, with slashes; the whole path where it is elsewhere."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:  # listed in a file, and elsewhere
        return path.as_posix()


def _text(match: re.Match[str] | None) -> str:
    """What names the group; empty where nothing does."""
    if match is None:
        return ""
    groups = [text or "" for text in match.groups()]
    return "\0".join(groups) if any(groups) else "" if groups else match.group()


def _joined(names: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Names where groups with a file in common have one."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while name in leader:
            name = leader[name]
        return name

    seen: dict[str, str] = {}
    for name, content in zip(names, sha256, strict=True):
        first, second = find(seen.setdefault(content, name)), find(name)
        if first != second:
            leader[second] = first
    return [find(name) for name in names]


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], np.int64)


def burst_hint(image: Callable[[int], NDArray[np.uint8]], rows: NDArray[np.int64]) -> str | None:
    """What to say where many neighbours in a list of images are nearly the same image.

    ``image`` gives that of a row, (h, w, 3); ``rows`` is in the order of the files.
    Neighbours are compared with images that lie farther apart, so that products that all look
    alike are not taken for shots of one part.
    """
    count = min(len(rows), _COMPARED)
    if count < _FEWEST:
        return None
    small = [_shrink(image(row)) for row in rows[:count].tolist()]
    if len({one.shape for one in small}) > 1:  # photographs in tiles, of several sizes
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
        f"{alike} of {len(near)} neighbouring good images are nearly the same. If they are shots "
        "of one part, some learn and others set the thresholds, which then promise too much: name "
        r"what tells parts apart, such as --group '(part\d+)' or --group folder."
    )


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean brightness in cells, (_SIDE * _SIDE,), or of what there are in a smaller image."""
    height, width = (max(1, side // _SIDE) for side in image.shape[:2])
    rows, columns = (min(side, _SIDE) for side in image.shape[:2])
    cells = image[: rows * height, : columns * width].reshape(rows, height, columns, width, -1)
    found: NDArray[np.float32] = cells.mean(axis=(1, 3, 4), dtype=np.float32).ravel()
    return found
