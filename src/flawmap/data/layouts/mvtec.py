"""The MVTec AD layout: train/good, test/good, test/TYPE, ground_truth/TYPE/NAME_mask.png.

Other data sets (MPDD and many in-house ones) use it too, with other words for good. The defect type
is the first folder below test/, whatever folders are below that.
"""

from __future__ import annotations

from flawmap.data.layouts.shared.splits import TEST, TRAIN, TRUTH, good_to_train_on, open_splits
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset

NAME, TITLE = "mvtec", "MVTec AD layout"
EXPECTED = "train/good, test/good, test/TYPE, ground_truth/TYPE/NAME_mask.png"


def recognises(root: Folder) -> bool:
    """Whether `root` has a train folder of good images or a test folder of defect types."""
    test = root.child(*TEST)
    return bool(good_to_train_on(root.child(*TRAIN))) or (test is not None and bool(test.folders))


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; `train` is empty if train/good holds no image."""
    return open_splits(root, NAME, TITLE, root.child(*TEST), root.child(*TRUTH))
