"""Real-IAD (Wang et al., 2024): PRODUCT/OK, PRODUCT/NG/TYPE, split by realiad_jsons/PRODUCT.json.

Each part is imaged from five sides, and each image has its own label: a side of a defective part
that shows no defect is good. Without the JSON file the folder is read as a plain one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flawmap.data.layouts.shared.tables import missing_note, path_below, read_object, unnamed_note
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset, DatasetError, Sample, plural

NAME, TITLE = "real_iad", "Real-IAD layout"
EXPECTED = "PRODUCT/OK, PRODUCT/NG/TYPE, and realiad_jsons/PRODUCT.json beside or above"
_JSONS = "realiad_jsons"


def recognises(root: Folder) -> bool:
    """Whether `root` is the folder of one product whose JSON file exists."""
    return root.child("ok", "ng") is not None and _table(root) is not None


def open_layout(root: Folder) -> Dataset:
    """Read the product in `root`; the JSON file names images and masks."""
    table = _table(root)
    if table is None:
        raise DatasetError(
            f"{root.path}: no {root.named.name}.json in {_JSONS} beside or above; without it "
            "choose the layout folder"
        )
    content = read_object(table)
    missing: list[Path] = []
    named: set[Path] = set()
    try:
        normal = str(content["meta"]["normal_class"])
        train, test = (
            list(_samples(root, table, content[split], normal, missing, named))
            for split in ("train", "test")
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{table}: not in Real-IAD's format ({error}); use the data set's own file"
        ) from error
    good = tuple(sample for sample in train if sample.label == "good")
    left_out = missing_note(missing, table) + unnamed_note(root, named, table)
    if left := len(train) - len(good):
        left_out += (f"{plural(left, 'defective image(s)')} in the train split left out",)
    return Dataset(root.path, NAME, TITLE, good, tuple(test), left_out=left_out)


def _samples(
    root: Folder,
    table: Path,
    rows: list[dict[str, Any]],
    normal: str,
    missing: list[Path],
    named: set[Path],
) -> Iterator[Sample]:
    for row in rows:
        path = path_below(root.path, str(row["image_path"]), table)
        named.add(path)
        kind = str(row["anomaly_class"])
        if not path.exists():
            missing.append(path)
        elif kind == normal:
            yield Sample(path, "good")
        else:
            text = row.get("mask_path")
            mask = path_below(root.path, str(text), table) if text else None
            yield Sample(path, "defective", kind, mask)


def _table(root: Folder) -> Path | None:
    """Find the product's JSON file: in its folder, or in realiad_jsons beside or above it."""
    place = root.named
    name = f"{place.name}.json"
    above = [place.parent, place.parent.parent]
    tries = [place / name, place.parent / name]
    tries += [folder / _JSONS / more / name for folder in above for more in ("", _JSONS)]
    return next((path for path in tries if path.is_file()), None)
