"""Rules for which files of a folder are images of parts, by their names alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from enum import Enum

from flawmap.data.image_io.images import IMAGE_SUFFIXES


class Reason(Enum):
    """Why a file or a folder is left out; the value is the text shown to the user."""

    HIDDEN = "hidden file(s) or folder(s)"
    SYSTEM = "folder(s) of the operating system"
    PARTIAL = "partial or temporary file(s)"
    MASK = "mask(s) of other images"
    OWN = "image(s) written by flawmap"
    DEPTH = "depth image(s)"
    CONTRARY = "image(s) in a folder whose name contradicts the folder above"
    NAMED = "image(s) whose names say that they are defective"
    IRREGULAR = "pipe(s) or device(s)"
    ENDING = "file(s) with endings that flawmap does not read"
    LINK = "link(s) to folders that are listed already"
    UNLISTED = "folder(s) that cannot be listed"
    COMPANION = ""
    """Files that are known to lie beside images; they are not reported."""


MASK_FOLDERS = frozenset({"groundtruth", "groundtruths", "mask", "masks"})
"""Names as `squeezed` gives them."""
DEPTH_FOLDERS = frozenset({"xyz", "depth"})
COLOUR_FOLDER = "rgb"
"""Beside a folder of this name there may be one of depth images, and masks in gt/."""
_MASK_WORDS = frozenset(
    {
        "mask", "masks", "gt", "gts", "truth", "truths", "groundtruth", "seg", "segmentation",
        "segmentations", "segmentationclass", "segmentationobject", "label", "labels", "ann",
        "anns", "annot", "annots", "annotation", "annotations",
    }
)  # fmt: skip
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
_APART = r"(?:[-_. ]|(?<=\d))"
_MASK_AFTER = re.compile(
    rf"(?P<base>.+?){_APART}{_WORD}(?:[-_]?\d{{1,3}})?", re.IGNORECASE | re.DOTALL
)
_DRAWN_AFTER = re.compile(
    rf"(?P<base>.+?){_APART}(?:defects?|anomal(?:y|ies)|bw|bin|binary|truth|drawn|drawing)",
    re.IGNORECASE | re.DOTALL,
)
_MASK_BEFORE = re.compile(rf"{_WORD}[-_. ](?P<base>.+)", re.IGNORECASE | re.DOTALL)
_ENDINGS = tuple(e for s in sorted(IMAGE_SUFFIXES) for e in (s, s.upper()))


def why_not(name: str, there: Container[str] = ()) -> Reason | None:
    """Return why a file is not an image of a part; None if it is one.

    ``there``: file names in its folder, needed to recognise masks and flawmap's own output.

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


def why_not_watched(name: str, there: Container[str]) -> Reason | None:
    """Return why a file that arrives in a watched folder is not inspected; None if it is.

    As :func:`why_not`, but whichever file arrives first: cameras write no masks, so that 7_mask.png
    is a part like 7.png, and flawmap writes the map of its own output first.

    >>> why_not_watched("7_mask.png", {"7.png"}), why_not_watched("7_mask.png", {"7_map.npy"})
    (None, <Reason.OWN...>)
    """
    reason = why_not(name)
    return Reason.OWN if reason is None and _map_beside(name) in there else reason


def is_listed(name: str, there: Container[str] = ()) -> bool:
    """Whether a file of this name is an image of a part; ``there`` as for :func:`why_not`."""
    return why_not(name, there) is None


def own_images(name: str) -> tuple[str, ...]:
    """Return the overlay and the mask that flawmap writes beside a map; none for another name.

    >>> own_images("7_map.npy"), own_images("7.png")
    (('7_overlay.png', '7_mask.png'), ())
    """
    base = name.removesuffix("_map.npy")
    return (f"{base}_overlay.png", f"{base}_mask.png") if base and base != name else ()


def why_not_searched(name: str) -> Reason | None:
    """Return why a subfolder is not searched for images of parts, by its name; None if it is."""
    return folder_why_not(name) or (Reason.MASK if names_masks(name) else None)


def squeezed(name: str) -> str:
    """Return a folder's name in lower case, without separators between its words.

    >>> squeezed("Ground Truth")
    'groundtruth'
    """
    return re.sub(r"[-_.\s]", "", name.casefold())


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case, without numbers.

    >>> words_of("OK_front2"), words_of("DefectMasks")
    (['ok', 'front'], ['defect', 'masks'])
    """
    name = unicodedata.normalize("NFC", name)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", apart.casefold())


def names_masks(name: str) -> bool:
    """Whether a folder of this name holds masks, whatever their content."""
    return squeezed(name) in MASK_FOLDERS


def folder_why_not(name: str) -> Reason | None:
    """Return why a folder is not searched at all; None if it is."""
    if name.startswith("."):
        return Reason.HIDDEN
    return Reason.SYSTEM if name.casefold() in _SYSTEM else None


def may_hold_masks(name: str) -> bool:
    """Whether a folder of this name holds masks if the content of its images agrees.

    >>> may_hold_masks("defect_masks"), may_hold_masks("scratch")
    (True, False)
    """
    return any(word in _MASK_WORDS for word in words_of(name))


def without_mask_words(name: str) -> str:
    """Return a mask folder's name without the words for mask.

    >>> without_mask_words("scratch_gt"), without_mask_words("deep.scratch masks")
    ('scratch', 'deepscratch')
    """
    return "".join(word for word in words_of(name) if word not in _MASK_WORDS)


def mask_owner(name: str, there: Container[str]) -> str | None:
    """Return the image in ``there`` that this file is a mask of, by name; None if it is no mask.

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
    """Split a name into stem and suffix, faster than ``Path``.

    >>> split_name("a.b.png"), split_name(".png")
    (('a.b', '.png'), ('.png', ''))
    """
    stem, _, ending = name.rpartition(".")
    return (stem, f".{ending}") if stem.strip(".") else (name, "")


def mask_base(stem: str) -> str:
    """Return the stem of the image that a mask in a mask folder belongs to, by the mask's stem.

    >>> mask_base("000_mask"), mask_base("000"), mask_base("000_defect"), mask_base("000.jpg")
    ('000', '000', '000', '000')
    """
    patterns = (_MASK_AFTER, _MASK_BEFORE, _DRAWN_AFTER)
    matches = (pattern.fullmatch(stem) for pattern in patterns)
    base = next((match["base"] for match in matches if match), stem)
    inner, ending = split_name(base)
    return inner if ending.lower() in IMAGE_SUFFIXES else base


def drawing_base(stem: str) -> str | None:
    """Return the stem of the image whose defects a file of this stem may show; None if none.

    >>> drawing_base("000_defect"), drawing_base("000")
    ('000', None)
    """
    match = _DRAWN_AFTER.fullmatch(stem)
    return match["base"] if match else None


def is_named_as_mask(name: str) -> bool:
    """Whether the name says mask, such as 0576_label.PNG."""
    stem = split_name(name)[0]
    return any(p.fullmatch(stem) for p in (_MASK_AFTER, _MASK_BEFORE))


def is_named_after_image(name: str) -> bool:
    """Whether the name is an image's name plus a word for mask, such as 0576_label.PNG."""
    return _MASK_AFTER.fullmatch(split_name(name)[0]) is not None


def _is_own(name: str, there: Container[str]) -> bool:
    """Whether it is one of N_overlay.png, N_mask.png and N_map.npy beside another of them."""
    stored = _map_beside(name)
    if not stored:
        return False
    overlay, mask = own_images(stored)
    return stored in there or (mask if name == overlay else overlay) in there


def _map_beside(name: str) -> str:
    """Return the map N_map.npy that lies beside N_overlay.png and N_mask.png, else ""."""
    stem, ending = split_name(name)
    base, _, kind = stem.rpartition("_")
    return f"{base}_map.npy" if base and ending == ".png" and kind in ("overlay", "mask") else ""


def _is_partial(name: str) -> bool:
    stem, ending = split_name(name)
    if ending.lower() in _UNFINISHED:
        return _ending(stem) in IMAGE_SUFFIXES
    if name.startswith("~") or name.endswith("~"):
        return _ending(name.strip("~")) in IMAGE_SUFFIXES
    return ending.lower() in IMAGE_SUFFIXES and _ending(stem) in _UNFINISHED


def _ending(name: str) -> str:
    return split_name(name)[1].lower()
