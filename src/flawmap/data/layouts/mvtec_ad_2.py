"""MVTec AD 2 (Heckler-Kram et al., 2025): train/good, validation/good, test_public/good and bad.

Masks are test_public/ground_truth/bad/NAME_mask.png. The good images in validation/ are used like
those in train/. Images in test_private and test_private_mixed have no labels and are left out.
"""

from __future__ import annotations

from dataclasses import replace

from flawmap.data.layouts.shared.kinds import unlabelled
from flawmap.data.layouts.shared.splits import UNLABELLED, open_splits
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset

NAME, TITLE = "mvtec_ad_2", "MVTec AD 2 layout"
EXPECTED = (
    "train/good, validation/good, test_public/good, test_public/bad, test_public/ground_truth"
)


def recognises(root: Folder) -> bool:
    """Whether `root` has test_public/ with folders good or defect types."""
    test = root.child("test_public")
    return test is not None and bool(test.folders)


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; `train` is empty if train/good holds no image."""
    test = root.child("test_public")
    truth = None if test is None else test.child("ground_truth")
    dataset = open_splits(root, NAME, TITLE, test, truth)
    private = [folder for folder in root.folders if folder.name.casefold() in UNLABELLED]
    left_out = unlabelled(private, "test_private has no labels; `predict` inspects it")
    return replace(dataset, left_out=dataset.left_out + left_out)
