"""Group images that are shots of the same part, by the rule of ``--group``.

Shots of one part are not independent: training on one and calibrating on another would make the
thresholds seem better than they are, and several calibration shots would each count as a part.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.data.samples import plural
from flawmap.errors import UsageError

FOLDER = "folder"


def group_images(
    paths: Sequence[Path], root: Path, rule: str | int | None, sha256: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Return the group number of each image, counted from 0 in the order of the images.

    ``rule``: a regular expression, searched for in the path below ``root`` (with slashes). Images
    with the same text in its parentheses, or in the whole match if it has none, form one group; an
    image without a match is a group of its own. "folder" or a number: images in the same folder,
    or below the same folder that many levels up (1 is "folder"). None: one group per image.
    Groups that share a file's content (``sha256``) are merged. Raises UsageError if the rule is
    invalid or matches no image.
    """
    if rule is None:
        names = [str(index) for index in range(len(paths))]
    else:
        names = _named(paths, root, str(rule))
    return _numbers(_joined(names, sha256) if sha256 else names)


def _named(paths: Sequence[Path], root: Path, rule: str) -> list[str]:
    below = [path_below(path, root) for path in paths]
    level = _level(rule)
    if level == 0:
        raise UsageError(
            "--group 0 is out of range: folders count from 1, the one that holds the image."
        )
    if level is not None:
        return ["folder " + "/".join(name.split("/")[:-level]) for name in below]
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(f"--group {rule}: it is not a regular expression ({error}).") from error
    texts = [_text(pattern.search(name)) for name in below]
    if paths and not any(texts):
        raise UsageError(
            f"--group {rule} matches none of the {plural(len(below), 'good image(s)')}, such as "
            f"{below[0]}: it is searched for in the path below the data folder."
        )
    return [f"match {text}" if text else f"alone {index}" for index, text in enumerate(texts)]


def path_below(path: Path, root: Path) -> str:
    """Return an image's path relative to a folder, with slashes; the whole path if outside it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:  # listed in a file, outside the root
        return path.as_posix()


def _text(match: re.Match[str] | None) -> str:
    """Return the text that names the group; empty if there is none."""
    if match is None:
        return ""
    groups = [text or "" for text in match.groups()]
    return "\0".join(groups) if any(groups) else "" if groups else match.group()


def _joined(names: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Return the names with groups that share a file merged under one name."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while name in leader:
            name = leader[name]
        return name

    first_names: dict[str, str] = {}
    for name, content in zip(names, sha256, strict=True):
        first, second = find(first_names.setdefault(content, name)), find(name)
        if first != second:
            leader[second] = first
    return [find(name) for name in names]


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], np.int64)


def names_of_parts(paths: Sequence[Path], root: Path, rule: str) -> list[str | None]:
    """Return the text by which a rule identifies each image's part; None where it does not.

    Unlike :func:`group_images`, whose groups are those of one folder, this compares folders: of a
    rule that counts levels it returns the last name of the folder, none for ``root`` itself.
    """
    texts: list[str | None] = []
    for path in paths:
        below = path_below(path, root)
        if (level := _level(rule)) is not None:
            texts.append((below.split("/")[:-level] or [""])[-1] or None)
        else:
            texts.append(_text(re.search(rule, below)) or None)
    return texts


def _level(rule: str) -> int | None:
    """Return how many levels up the folder of a rule is; None for a regular expression."""
    return 1 if rule == FOLDER else int(rule) if rule.isdecimal() else None


def group_further_images(paths: Sequence[Path], rule: str) -> NDArray[np.int64] | None:
    """Group images given to a finished run by :func:`group_images`, below their common folder.

    Return None if the rule does not separate them: it matches none, or puts all in one group.
    """
    whole = [path.absolute() for path in paths]
    if len(whole) < 2:
        return None
    root = Path(os.path.commonpath([path.parent for path in whole]))
    try:
        groups = group_images(whole, root, rule)
    except UsageError:
        return None
    return groups if groups.any() else None
