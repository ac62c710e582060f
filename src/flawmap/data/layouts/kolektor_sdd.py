"""KolektorSDD (Tabernik et al., 2019): kosNN/PartN.jpg with kosNN/PartN_label.bmp.

An image is defective if its label marks anything. The set has no split of its own; here items
(``kosNN``) alternate between training and test, so that no item is in both. Items that share a
file, as kos01 and kos26 do pixel for pixel, count as one. Defective images of training items are
left out, as training uses none and the test has other items. So are images without a label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flawmap.data.layouts.shared.kinds import elsewhere
from flawmap.data.layouts.shared.pairs import Pairs
from flawmap.data.listing.images import Folder
from flawmap.data.masks.decoding import marks_anything
from flawmap.data.samples import Dataset, Sample, plural
from flawmap.utils.files import digest

NAME, TITLE = "kolektor_sdd", "KolektorSDD layout"
EXPECTED = "kosNN/PartN.jpg with kosNN/PartN_label.bmp"
_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_LABEL = "_label"
_TYPE = "crack"


def recognises(root: Folder) -> bool:
    """Whether `root` has folders kosNN, the first of which holds labelled images."""
    items = _items(root)
    return bool(items) and bool(Pairs.of(items[0], _LABEL).labelled)


def open_layout(root: Folder) -> Dataset:
    """Read the layout below `root`; this reads every label."""
    items = {item.path: Pairs.of(item, _LABEL) for item in _items(root)}
    groups = _together(list(items.values()))
    training, test = (
        [s for group in half for s in _samples(group)] for half in (groups[::2], groups[1::2])
    )
    train = [sample for sample in training if sample.label == "good"]
    notes = (
        f"split by item: {plural(len(groups[::2]), 'item(s)')} to train on, "
        f"{len(groups[1::2])} to test on; "
        f"{plural(len(training) - len(train), 'defective image(s)')} of the former left out",
    )
    bare = [path for pairs in items.values() for path in pairs.bare]
    names = [path.name.casefold() for path in items]
    left_out = Pairs.note(bare, _LABEL) + elsewhere([root], names)
    return Dataset(root.path, NAME, TITLE, tuple(train), tuple(test), notes, left_out)


def _items(root: Folder) -> list[Folder]:
    return [folder for folder in root.folders if _ITEM.fullmatch(folder.name)]


def _together(items: Sequence[Pairs]) -> list[list[Pairs]]:
    """Group items that share an image, in order."""
    groups: list[list[Pairs]] = []
    owners: dict[str, set[int]] = {}  # by digest, the numbers of the items that have the file
    digests = [{digest(path) for path, _ in item.labelled} for item in items]
    for number, contents in enumerate(digests):
        for sha256 in contents:
            owners.setdefault(sha256, set()).add(number)
    left = set(range(len(items)))
    for number in range(len(items)):
        if number in left:
            members = _reach(number, digests, owners)
            left -= members
            groups.append([items[member] for member in sorted(members)])
    return groups


def _reach(start: int, digests: Sequence[set[str]], owners: dict[str, set[int]]) -> set[int]:
    """Return all items that share a file with this one, directly or through other items."""
    members, waiting = {start}, [start]
    while waiting:
        near = {other for sha256 in digests[waiting.pop()] for other in owners[sha256]}
        waiting += near - members
        members |= near
    return members


def _samples(group: Sequence[Pairs]) -> list[Sample]:
    return [
        Sample(image, "defective", _TYPE, label) if marks_anything(label) else Sample(image, "good")
        for item in group
        for image, label in item.labelled
    ]
