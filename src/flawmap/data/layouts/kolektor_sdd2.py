"""KolektorSDD2 (Božič et al., 2021): train/ and test/, each NNNNN.png with NNNNN_GT.png.

An image is defective if its ground truth marks anything. Training uses only the good images of
train/; its defective ones, which the supervised protocol trains on, are left out. The set has a
ground truth for every image, so an image without one may be either and is left out; only if train/
has none at all, its images count as good.
"""

from __future__ import annotations

from flawmap.data.layouts.shared.kinds import elsewhere
from flawmap.data.layouts.shared.pairs import Pairs
from flawmap.data.listing.images import Folder
from flawmap.data.masks.decoding import marks_anything
from flawmap.data.samples import Dataset, Sample, plural

NAME, TITLE = "kolektor_sdd2", "KolektorSDD2 layout"
EXPECTED = "train/NNNNN.png and test/NNNNN.png, each with NNNNN_GT.png"
_TRUTH = "_gt"
_TYPE = "defect"


def recognises(root: Folder) -> bool:
    """Whether `root` has train/ with images, and test/ with pairs of image and ground truth."""
    train, test = (Pairs.of(root.child(split), _TRUTH) for split in ("train", "test"))
    return bool(train.labelled or train.bare) and bool(test.labelled)


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; this reads every ground-truth mask."""
    train, test = (Pairs.of(root.child(split), _TRUTH) for split in ("train", "test"))
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    if train.bare and not train.labelled:
        good = tuple(Sample(path, "good") for path in train.bare)
        notes += (f"no ground truth in train: its {plural(len(good), 'image(s)')} count as good",)
        bare = test.bare
    else:
        samples = _samples(train)
        good = tuple(sample for sample in samples if sample.label == "good")
        if left := len(samples) - len(good):
            left_out += (f"{plural(left, 'defective image(s)')} in train left out",)
        bare = train.bare + test.bare
    left_out += Pairs.note(bare, "_GT.png")
    left_out += elsewhere([root, root.child("train"), root.child("test")], ["train", "test"])
    return Dataset(root.path, NAME, TITLE, good, tuple(_samples(test)), notes, left_out)


def _samples(pairs: Pairs) -> list[Sample]:
    return [
        Sample(image, "defective", _TYPE, truth) if marks_anything(truth) else Sample(image, "good")
        for image, truth in pairs.labelled
    ]
