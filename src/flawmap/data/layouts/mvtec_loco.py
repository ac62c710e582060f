"""MVTec LOCO AD (Bergmann et al., 2022) and AutoVI (Carvalho et al., 2024).

Like MVTec AD, but with a folder of masks for each image, ground_truth/TYPE/NNN/000.png: a pixel is
defective if any of them marks it. LOCO's good images in validation/ are used like those in train/.
"""

from __future__ import annotations

from flawmap.data.layouts.shared.splits import open_splits
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset

NAME, TITLE = "mvtec_loco", "MVTec LOCO AD layout"
EXPECTED = "train/good, validation/good, test/good, test/TYPE, ground_truth/TYPE/NNN/000.png"
_TYPES = ("logical_anomalies", "structural_anomalies")


def recognises(root: Folder) -> bool:
    """Whether `root` has test/ with LOCO's types, or a folder of masks for an image."""
    test, truth = root.child("test"), root.child("ground_truth")
    if test is None or root.child("train") is None:
        return False
    kinds = () if truth is None else truth.folders
    return test.child(*_TYPES) is not None or any(_is_of_folders(kind, test) for kind in kinds)


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; `train` is empty if train/good holds no image."""
    test = root.child("test")
    loco = test is not None and test.child(*_TYPES) is not None
    return open_splits(
        root, NAME, TITLE if loco else "AutoVI layout", test, root.child("ground_truth")
    )


def _is_of_folders(kind: Folder, test: Folder) -> bool:
    """Whether ground_truth/KIND holds a folder of masks named like an image."""
    images = test.child(kind.name.casefold())
    stems = set() if images is None else {path.stem.casefold() for path in images.images}
    return any(folder.name.casefold() in stems and folder.files for folder in kind.folders)
