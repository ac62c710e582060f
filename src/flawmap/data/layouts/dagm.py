"""DAGM 2007 (Wieler and Hahn): ClassN/Train and ClassN/Test with Label/NNNN_label.PNG.

An image is defective if it has a label, which marks the defect by an ellipse. Training uses only
the good images of Train/; its defective ones, meant for supervised training, are left out.
"""

from __future__ import annotations

from flawmap.data.layouts.shared.kinds import elsewhere
from flawmap.data.listing.images import Folder
from flawmap.data.listing.names import is_named_as_mask
from flawmap.data.samples import Dataset, Sample, plural

NAME, TITLE = "dagm", "DAGM 2007 layout"
EXPECTED = "Train/NNNN.PNG and Test/NNNN.PNG, with Label/NNNN_label.PNG for defective ones"
_END = "_label"
_TYPE = "defect"


def recognises(root: Folder) -> bool:
    """Whether `root` has Train/ and Test/ with images, and labels in a folder below one."""
    splits = [root.child("train"), root.child("test")]
    labels = [split.child("label") for split in splits if split is not None and split.images]
    return len(labels) == len(splits) and any(
        label is not None and any(is_named_as_mask(path.name) for path in label.files)
        for label in labels
    )


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`."""
    splits = [root.child("train"), root.child("test")]
    train, test = (_samples(split) for split in splits)
    good = tuple(sample for sample in train if sample.label == "good")
    left = len(train) - len(good)
    left_out: tuple[str, ...] = ()
    if left:
        left_out += (f"{plural(left, 'defective image(s)')} in Train left out",)
    left_out += elsewhere([root, *splits], ["train", "test", "label"])
    return Dataset(root.path, NAME, TITLE, good, tuple(test), left_out=left_out)


def _samples(split: Folder | None) -> list[Sample]:
    label = None if split is None else split.child("label")
    files = () if label is None else label.files
    masks = {path.stem.casefold().removesuffix(_END): path for path in files}
    images = () if split is None else split.images
    return [
        Sample(path, "defective", _TYPE, mask)
        if (mask := masks.get(path.stem.casefold()))
        else Sample(path, "good")
        for path in images
    ]
