"""Which files of a folder are images of parts, judged by their names alone."""

from __future__ import annotations

import re
from collections.abc import Container
from enum import Enum

from flawmap.images import IMAGE_SUFFIXES


class Reason(Enum):
    """Why a file or a folder is left out; the value is what a person is told."""

    HIDDEN = "hidden file(s) or folder(s)"
    SYSTEM = "folder(s) of the operating system"
    PARTIAL = "partial or temporary file(s)"
    MASK = "mask(s) of other images"
    OWN = "image(s) written by flawmap"
    DEPTH = "depth image(s)"
    IRREGULAR = "pipe(s) or device(s)"
    ENDING = "file(s) with endings that flawmap does not read"
    LINK = "link(s) to folders that are listed already"
    UNLISTED = "folder(s) that cannot be listed"
    COMPANION = ""
    """Files that are known to lie beside images; nobody is told of them."""


MASK_FOLDERS = frozenset({"ground_truth", "groundtruth", "mask", "masks"})
DEPTH_FOLDERS = frozenset({"xyz", "depth"})
COLOUR_FOLDER = "rgb"
"""Beside a folder of this name there may be one of depth images, and masks in gt/."""
_MAYBE_MASK_FOLDERS = frozenset({"label", "labels", "gt", "annotation", "annotations"})
_SYSTEM = frozenset(
    {
        "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "__macosx", "lost+found",
        "$recycle.bin", "system volume information", "__pycache__",
    }
)  # fmt: skip
_COMPANIONS = frozenset(
    {
        ".json", ".jsonl", ".txt", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".ini",
        ".cfg", ".md", ".rst", ".html", ".pdf", ".log", ".db", ".npy", ".npz", ".xls", ".xlsx",
        ".doc", ".docx", ".py", ".ipynb", ".sh", ".bat", ".onnx", ".pt", ".pth", ".safetensors",
        ".lnk", ".url", ".xmp", ".dvc", ".md5", ".sha256",
    }
)  # fmt: skip
_COMPANION_NAMES = frozenset({"license", "licence", "copying", "readme", "makefile", "changelog"})
_UNFINISHED = frozenset(
    {
        ".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp",
        ".opdownload", ".swp", ".bak", ".aria2",
    }
)  # fmt: skip
_OF_WHAT = r"(?:(?:defect|anomaly|binary|bin|seg|gt|label|pixel)[-_])?"
_WORD = _OF_WHAT + r"(?:masks?|gt|labels?|seg|segmentation|annot|annotations?|ground[-_]?truth)"
_MASK_AFTER = re.compile(
    rf"(?P<base>.+?)[-_. ]{_WORD}(?:[-_]?\d{{1,3}})?", re.IGNORECASE | re.DOTALL
)
_MASK_BEFORE = re.compile(rf"{_WORD}[-_. ](?P<base>.+)", re.IGNORECASE | re.DOTALL)
_ENDINGS = tuple(e for s in sorted(IMAGE_SUFFIXES) for e in (s, s.upper()))


def why_not(name: str, there: Container[str] = ()) -> Reason | None:
    """Why a file is no image of a part; None where it is one.

    ``there``: the names of the files in its folder, by which masks and own output are recognised.

    >>> why_not("a.png"), why_not("._a.png"), why_not("a_mask.png", {"a.jpg", "a_mask.png"})
    (None, <Reason.HIDDEN...>, <Reason.MASK...>)
    """
    if name.startswith("."):
        return Reason.HIDDEN if _ending(name) in IMAGE_SUFFIXES else Reason.COMPANION
    if _is_partial(name):
        return Reason.PARTIAL
    if (ending := _ending(name)) not in IMAGE_SUFFIXES:
        known = ending in _COMPANIONS or name.casefold() in _COMPANION_NAMES
        return Reason.COMPANION if known else Reason.ENDING
    if _is_own(name, there):
        return Reason.OWN
    return Reason.MASK if mask_owner(name, there) is not None else None


def is_listed(name: str, there: Container[str] = ()) -> bool:
    """Whether a file of this name is an image of a part; ``there`` as for :func:`why_not`."""
    return why_not(name, there) is None


def is_searched(name: str) -> bool:
    """Whether images of parts are looked for in a folder of this name below another."""
    return folder_why_not(name) is None and name.casefold() not in MASK_FOLDERS


def folder_why_not(name: str) -> Reason | None:
    """Why a folder is not looked into at all; None where it is."""
    if name.startswith("."):
        return Reason.HIDDEN
    return Reason.SYSTEM if name.casefold() in _SYSTEM else None


def may_hold_masks(name: str) -> bool:
    """Whether a folder of this name holds masks where its images' names say so."""
    return name.casefold() in _MAYBE_MASK_FOLDERS


def mask_owner(name: str, there: Container[str]) -> str | None:
    """The image among ``there`` that this file is a mask of, by its name; None if it is none.

    >>> mask_owner("7_GT.png", {"7.jpg", "7_GT.png"})
    '7.jpg'
    """
    stem, ending = split_name(name)
    for pattern in (_MASK_AFTER, _MASK_BEFORE):
        if match := pattern.fullmatch(stem):
            tries = (match["base"] + one for one in (ending, *_ENDINGS))
            if (owner := next((t for t in tries if t in there), None)) is not None:
                return owner
    return None


def split_name(name: str) -> tuple[str, str]:
    """Stem and ending of a name, quicker than ``Path``.

    >>> split_name("a.b.png"), split_name(".png")
    (('a.b', '.png'), ('.png', ''))
    """
    stem, _, ending = name.rpartition(".")
    return (stem, f".{ending}") if stem.strip(".") else (name, "")


def mask_base(stem: str) -> str:
    """The stem of the image that a mask is of, by the mask's stem.

    >>> mask_base("000_mask"), mask_base("000")
    ('000', '000')
    """
    matches = (pattern.fullmatch(stem) for pattern in (_MASK_AFTER, _MASK_BEFORE))
    return next((match["base"] for match in matches if match), stem)


def is_named_as_mask(name: str) -> bool:
    """Whether the name says that it is a mask, such as 0576_label.PNG."""
    stem = split_name(name)[0]
    return any(p.fullmatch(stem) for p in (_MASK_AFTER, _MASK_BEFORE))


def _is_own(name: str, there: Container[str]) -> bool:
    """Whether it is one of N_overlay.png, N_mask.png and N_map.npy, with another beside it."""
    stem, ending = split_name(name)
    base, _, kind = stem.rpartition("_")
    if not base or ending != ".png" or kind not in ("overlay", "mask"):
        return False
    other = "mask" if kind == "overlay" else "overlay"
    return f"{base}_{other}.png" in there or f"{base}_map.npy" in there


def _is_partial(name: str) -> bool:
    stem, ending = split_name(name)
    if ending.lower() in _UNFINISHED:
        return _ending(stem) in IMAGE_SUFFIXES
    if name.startswith("~") or name.endswith("~"):
        return _ending(name.strip("~")) in IMAGE_SUFFIXES
    return ending.lower() in IMAGE_SUFFIXES and _ending(stem) in _UNFINISHED


def _ending(name: str) -> str:
    return split_name(name)[1].lower()
