"""Common parts of layouts with train/ and test/: train/good, test/KIND, ground_truth/KIND."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from flawmap.data.layouts.shared.kinds import (
    elsewhere,
    good_folders,
    is_good,
    is_masks,
    is_unsorted,
    samples_below,
    some,
    unlabelled,
)
from flawmap.data.layouts.shared.masks import attach_masks
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset, Sample, plural

TRUTH = ("ground_truth", "gt", "masks", "mask")
TRAIN, TEST = ("train", "training"), ("test", "testing")
UNLABELLED = ("test_private", "test_private_mixed")  # MVTec AD 2's, which its layout reports
VALIDATION = ("validation", "val", "valid")


def good_to_train_on(train: Folder | None) -> list[Sample]:
    """Return images in or below train/good, or directly in train/ if nothing in it is sorted."""
    if train is None:
        return []
    good = good_folders(train)
    if good:
        return [sample for folder in good for sample in samples_below(folder, "good")]
    return [Sample(path, "good") for path in train.images]


def open_splits(
    root: Folder, name: str, title: str, test: Folder | None, truth: Folder | None
) -> Dataset:
    """Read train/ (and validation/) of ``root``, and the types in ``test`` with their masks.

    If there is no train/, the good folders in ``root`` itself are used instead.
    """
    first, held = root.child(*TRAIN), root.child(*VALIDATION)
    instead = good_folders(root) if first is None else []
    train = [sample for folder in instead for sample in samples_below(folder, "good")]
    train += good_to_train_on(first)
    left_out = _beside_good(first) + _beside_good(held)
    validation = good_to_train_on(held)
    notes: tuple[str, ...] = ()
    if validation:
        notes += (
            f"{plural(len(validation), 'good image(s)')} in validation, used as those in train",
        )
    if truth is None and test is not None:
        truth = test.child(*TRUTH)
    samples, more = _test_samples(test, truth)
    left_out += _test_left_out(test, truth)
    known = {one.path for one in (first, held, test, truth, *instead) if one is not None}
    left_out += _elsewhere(root, known)
    return Dataset(root.path, name, title, (*train, *validation), samples, notes + more, left_out)


def _test_samples(
    test: Folder | None, truth: Folder | None
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Return the samples of a test folder, good ones first, and notes on their masks."""
    if test is None:
        return (), ()
    kinds = [kind for kind in _kinds(test, truth) if not is_unsorted(kind)]
    good = [s for kind in kinds if is_good(kind) for s in samples_below(kind, "good")]
    defective = [
        sample
        for kind in kinds
        if not is_good(kind)
        for sample in samples_below(kind, "defective", kind.name, [_truth_of(truth, kind)])
    ]
    masked, notes = attach_masks(defective, _flat(truth), test.path.parent)
    return (*good, *masked), notes


def _kinds(test: Folder, truth: Folder | None) -> list[Folder]:
    return [kind for kind in test.folders if not is_masks(kind) and kind.path != _path(truth)]


def _test_left_out(test: Folder | None, truth: Folder | None) -> tuple[str, ...]:
    """Return notes on images without a label in a test folder."""
    if test is None:
        return ()
    why = "the name of their folder says neither good nor what is wrong; move or rename it"
    notes = unlabelled([kind for kind in _kinds(test, truth) if is_unsorted(kind)], why)
    if test.images:
        notes += (
            f"{plural(len(test.images), 'image(s)')} directly in {test.path} without label, left "
            f"out; put them in {test.path / 'good'} or in a folder for each defect type",
        )
    return notes


def _elsewhere(root: Folder, known: Iterable[Path]) -> tuple[str, ...]:
    """Return notes on images outside the folders that are read."""
    names = {*UNLABELLED, *(path.name.casefold() for path in known)}
    notes = elsewhere([root], names)
    if root.images:
        notes += (
            f"{plural(len(root.images), 'image(s)')} directly in {root.path} left out: they lie in "
            "no folder that this layout has",
        )
    return notes


def _beside_good(train: Folder | None) -> tuple[str, ...]:
    """Return a note on folders of train/ that are not used."""
    if train is None:
        return ()
    good = good_folders(train)
    others = [folder for folder in train.folders if folder not in good and not is_masks(folder)]
    named = some([folder.name for folder in others if folder.images_below()])
    why = f"training takes {some([f.name for f in good] or ['good'])} alone of {train.path}"
    return unlabelled(others, f"{why}, not {named}")


def _truth_of(truth: Folder | None, kind: Folder) -> Folder | None:
    return None if truth is None else truth.child(kind.name.casefold())


def _flat(truth: Folder | None) -> Sequence[tuple[Path, str | None]]:
    """Return mask folders for each defect type and for any; those of good images are skipped."""
    if truth is None:
        return []
    kinds = [(kind.path, kind.name) for kind in truth.folders if not is_good(kind)]
    return [*kinds, (truth.path, None)]


def _path(folder: Folder | None) -> Path | None:
    return None if folder is None else folder.path
