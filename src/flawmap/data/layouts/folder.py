"""The plain folder layout: good/ and, optionally, defective images and their masks.

Defective images are in defective/, in defective/TYPE/, or in a folder TYPE beside good/; everything
below it has the same type. Masks are in masks/, named like their image or NAME_mask, directly or in
the same subfolder, or beside their image. Images directly in a folder without subfolders are all
good. Other spellings of good and defective (ok and ko, OK and NG, normal and abnormal, ...) work,
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flawmap.data.layouts.shared.kinds import (
    bad_folders,
    count_masks,
    good_folders,
    hold_images,
    is_bad,
    is_good,
    is_masks,
    is_unsorted,
    samples_below,
    says_defective,
    unlabelled,
)
from flawmap.data.layouts.shared.masks import attach_masks
from flawmap.data.listing.images import Folder
from flawmap.data.listing.names import Reason, mask_base, without_mask_words, words_of
from flawmap.data.samples import Dataset, Sample, plural

NAME, TITLE = "folder", "plain folder"
EXPECTED = "good/, and defective/ or a folder for each defect type, and masks/; or images alone"
_LABELS = ("label", "labels", "annotation", "annotations", "segmentation", "segmentations")
_MASKS = ("masks", "mask", "ground_truth", "groundtruth", "gt")


def recognises(root: Folder) -> bool:
    """Whether `root` has good/ or defective/, is one of these, or holds nothing but images."""
    return bool(_good(root)) or hold_images(bad_folders(root)) or _is_bad_alone(root)


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; `train` is empty if there are no good images.

    The good images are the train split, and part of the test split too.
    """
    good = tuple(_good(root))
    places = tuple(_mask_folders(root))
    defective, notes = attach_masks(tuple(_defective(root)), places, root.path)
    left_out = tuple(_left_out(root))
    return Dataset(root.path, NAME, TITLE, good, good + defective, notes, left_out)


def _good(root: Folder) -> list[Sample]:
    if good := good_folders(root):
        return [sample for folder in good for sample in samples_below(folder, "good")]
    if _is_good_alone(root):
        return samples_below(root, "good")
    if not _is_flat(root) or _is_bad_alone(root):
        return []
    count_masks(root)
    flawed = [path for path in root.images if says_defective(path.stem)]
    for path in flawed:
        root.left_out.add(Reason.NAMED, path)
    return [Sample(path, "good") for path in root.images if path not in flawed]


def _is_flat(root: Folder) -> bool:
    return bool(root.images) and not (bad_folders(root) or hold_images(root.folders))


def _is_good_alone(root: Folder) -> bool:
    """Whether `root` is itself a folder of good images, such as good/ of another."""
    if not is_good(Folder(root.named)) or good_folders(root):
        return False
    return bool(root.images) or not any(is_bad(one) or is_unsorted(one) for one in root.folders)


def _is_bad_alone(root: Folder) -> bool:
    """Whether `root` is itself a folder of defective images, such as defective/ of another."""
    named = Folder(root.named)
    return is_bad(named) and not good_folders(root) and hold_images([root])


def _defective(root: Folder) -> Iterator[Sample]:
    if _is_bad_alone(root):
        yield from samples_below(root, "defective", root.named.name)
        return
    for kind, name in _kinds(root):
        truths = [mask.child(kind.name.casefold()) for mask in _mask_roots(root)]
        yield from samples_below(kind, "defective", name, truths, deep=not is_bad(kind))


def _kinds(root: Folder) -> Iterator[tuple[Folder, str]]:
    """Yield folders of defective images with their defect types."""
    bad = bad_folders(root)
    for folder in bad:
        yield folder, folder.name
        for kind in folder.folders:
            if is_good(kind):
                kind.leave(Reason.CONTRARY)
            elif not is_masks(kind):
                dated = not words_of(kind.name) or is_unsorted(kind)  # a date and not a defect type
                yield kind, folder.name if dated else kind.name
    if not _collected(root):
        siblings = (kind for kind in _siblings(root) if not is_unsorted(kind))
        yield from ((kind, kind.name) for kind in siblings)


def _collected(root: Folder) -> list[Folder]:
    """Return folders of all defective images; names like defect1/ and defect2/ are single types."""
    return [one for one in bad_folders(root) if not any(c.isdigit() for c in one.name)]


def _siblings(root: Folder) -> list[Folder]:
    """The folders beside good/ that may hold a defect type."""
    if not good_folders(root):
        return []
    known = [*good_folders(root), *bad_folders(root), _labels(root)]
    return [folder for folder in root.folders if folder not in known and not is_masks(folder)]


def _mask_roots(root: Folder) -> list[Folder]:
    """masks/ and masks/defective/, and folders of another name that hold masks."""
    first = root.child(*_MASKS)
    tops = [] if first is None else [first]
    tops += [one for one in root.folders if is_masks(one) and one not in tops]
    labels = _labels(root)
    tops += [] if labels is None or labels in tops else [labels]
    return [folder for top in tops for folder in (*bad_folders(top), top)]


def _labels(root: Folder) -> Folder | None:
    """Return labels/ or the like if each image in it is named like a defective one elsewhere."""
    folder = root.child(*_LABELS)
    if folder is None:
        return None
    others = [other for other in root.folders if other is not folder and not is_masks(other)]
    stems = {p.stem.casefold() for f in others if not is_good(f) for p in f.images_below()}
    labels = {mask_base(path.stem.casefold()) for path in folder.images_below()}
    return folder if labels and labels <= stems else None


def _mask_folders(root: Folder) -> Iterator[tuple[Path, str | None]]:
    """Yield masks/TYPE, masks/defective/TYPE and TYPE_masks, then masks/defective and masks."""
    flat = _mask_roots(root)
    for folder in flat:
        kinds = (kind for kind in folder.folders if not is_good(kind) and not is_bad(kind))
        yield from ((kind.path, kind.name) for kind in kinds)
    for folder in flat:
        if is_bad(folder):
            yield folder.path, folder.name
        else:
            owner = without_mask_words(folder.name)
            named = (name for _, name in _kinds(root) if "".join(words_of(name)) == owner)
            yield from ((folder.path, name) for name in named)
    yield from ((folder.path, None) for folder in flat)


def _left_out(root: Folder) -> Iterator[str]:
    if not good_folders(root) and not bad_folders(root):
        return
    if root.images:
        yield (
            f"{plural(len(root.images), 'image(s)')} directly in {root.path} without label, left "
            "out; put them in good/ or in a folder for each defect type"
        )
    if bad := _collected(root):
        why = f"the defective images lie in {bad[0].name}/"
        yield from unlabelled(_siblings(root), why)
    else:
        why = "the name of their folder says neither good nor what is wrong; move or rename it"
        yield from unlabelled([one for one in _siblings(root) if is_unsorted(one)], why)
