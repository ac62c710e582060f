"""What layouts with train/ and test/ have in common: train/good, test/KIND, ground_truth/KIND."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flawmap.datasets.base import Dataset, Sample, plural
from flawmap.datasets.kinds import good_folders, is_good, is_masks, samples_below, some, unlabelled
from flawmap.datasets.listing import Folder
from flawmap.datasets.masks import attach_masks

TRUTH = ("ground_truth", "groundtruth", "ground-truth", "gt", "masks", "mask")
TRAIN, TEST = ("train", "training"), ("test", "testing")
VALIDATION = ("validation", "val", "valid")


def good_to_train_on(train: Folder | None) -> list[Sample]:
    """Images in train/good and below, or directly in train/ where nothing in it is sorted."""
    if train is None:
        return []
    good = good_folders(train)
    if good:
        return [sample for folder in good for sample in samples_below(folder, "good")]
    return [Sample(path, "good") for path in train.images]


def open_splits(
    root: Folder, name: str, title: str, test: Folder | None, truth: Folder | None
) -> Dataset:
    """Read train/ (and validation/) of ``root``, and the kinds in ``test`` with their masks."""
    train = good_to_train_on(root.child(*TRAIN))
    notes = _beside_good(root.child(*TRAIN))
    held = root.child(*VALIDATION)
    validation = good_to_train_on(held)
    notes += _beside_good(held)
    if validation:
        notes += (
            f"{plural(len(validation), 'good image(s)')} in validation, used as those in train",
        )
    samples, more = test_samples(test, truth)
    return Dataset(root.path, name, title, (*train, *validation), samples, notes + more)


def test_samples(
    test: Folder | None, truth: Folder | None
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The samples of a test folder, good ones first, and notes on what does not fit."""
    if test is None:
        return (), ()
    kinds = [kind for kind in test.folders if not is_masks(kind) and kind.path != _path(truth)]
    good = [s for kind in kinds if is_good(kind) for s in samples_below(kind, "good")]
    defective = [
        sample
        for kind in kinds
        if not is_good(kind)
        for sample in samples_below(kind, "defective", kind.name, [_truth_of(truth, kind)])
    ]
    masked, notes = attach_masks(defective, _flat(truth), test.path.parent)
    if test.images:
        notes += (
            f"{plural(len(test.images), 'image(s)')} directly in {test.path} without label, left "
            f"out; put them in {test.path / 'good'} or in a folder for each defect type",
        )
    return (*good, *masked), notes


def _beside_good(train: Folder | None) -> tuple[str, ...]:
    """A note on folders of train/ that are not used."""
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
    """Folders of masks for each kind; those of good images are not looked into."""
    folders = () if truth is None else truth.folders
    return [(kind.path, kind.name) for kind in folders if not is_good(kind)]


def _path(folder: Folder | None) -> Path | None:
    return None if folder is None else folder.path
