"""VisA (Zou et al., 2022) as it is distributed: PRODUCT/Data/Images/Normal and Anomaly.

The split comes from split_csv/1cls.csv beside the product's folder. If that is missing, every tenth
normal image goes to the test split, as in that file. Masks, Data/Masks/Anomaly, hold the number of
a defect type at each pixel.
"""

from __future__ import annotations

from pathlib import Path

from flawmap.data.layouts.shared.kinds import samples_below
from flawmap.data.layouts.shared.tables import missing_note, path_below, read_table, unnamed_note
from flawmap.data.listing.images import Folder
from flawmap.data.samples import Dataset, Sample, plural

NAME, TITLE = "visa", "VisA layout"
EXPECTED = "PRODUCT/Data/Images/Normal and Anomaly, Data/Masks/Anomaly, ../split_csv/1cls.csv"
_TYPE = "anomaly"
_COLUMNS = ("object", "split", "label", "image", "mask")
_TENTH = 10


def recognises(root: Folder) -> bool:
    """Whether `root` is the folder of one product."""
    return _images(root) is not None


def open_layout(root: Folder) -> Dataset:
    """Read the product in `root`, by the split of its table."""
    place = root.named
    table = place.parent / "split_csv" / "1cls.csv"
    if table.is_file():
        rows = [r for r in read_table(table, _COLUMNS) if r["object"] == place.name]
        if rows:
            return _by_table(root, table, rows)
    return _by_folders(root, table)


def _by_table(root: Folder, table: Path, rows: list[dict[str, str]]) -> Dataset:
    train: list[Sample] = []
    test: list[Sample] = []
    missing: list[Path] = []
    named: set[Path] = set()
    unfit = 0
    for row in rows:
        sample = _sample(root.path, table, row)
        named.add(sample.path)
        training = row["split"].strip().casefold() == "train"
        if not sample.path.exists():
            missing.append(sample.path)
        elif training and sample.label == "defective":
            unfit += 1
        else:
            (train if training else test).append(sample)
    left_out = missing_note(missing, table) + unnamed_note(root, named, table)
    if unfit:
        left_out += (f"{plural(unfit, 'defective image(s)')} in the train split left out",)
    return Dataset(root.path, NAME, TITLE, tuple(train), tuple(test), left_out=left_out)


def _sample(root: Path, table: Path, row: dict[str, str]) -> Sample:
    path = _named(root, table, row["image"], row["object"])
    if row["label"].strip().casefold() == "normal":
        return Sample(path, "good")
    mask = _named(root, table, row["mask"], row["object"]) if row["mask"].strip() else None
    return Sample(path, "defective", _TYPE, mask)


def _named(root: Path, table: Path, text: str, product: str) -> Path:
    """Return the file named PRODUCT/Data/... in the table, in the product's folder `root`."""
    relative = path_below(Path(), text, table)
    inside = relative.parts[0] == product
    return root.joinpath(*relative.parts[1:]) if inside else root / ".." / relative


def _by_folders(root: Folder, table: Path) -> Dataset:
    images = _images(root)
    data = root.child("data")
    masks = None if data is None else data.child("masks")
    normal, anomaly = ((None if images is None else images.child(n)) for n in ("normal", "anomaly"))
    good = samples_below(normal, "good") if normal else []
    truth = None if masks is None else masks.child("anomaly")
    defective = samples_below(anomaly, "defective", _TYPE, [truth]) if anomaly else []
    test = [sample for number, sample in enumerate(good) if number % _TENTH == _TENTH - 1]
    train = tuple(sample for number, sample in enumerate(good) if number % _TENTH != _TENTH - 1)
    note = f"no split for {root.path.name} in {table}: every tenth normal image is for the test"
    return Dataset(root.path, NAME, TITLE, train, (*test, *defective), (note,))


def _images(root: Folder) -> Folder | None:
    """Return Data/Images if it has Normal or Anomaly."""
    data = root.child("data")
    images = None if data is None else data.child("images")
    return images if images is not None and images.child("normal", "anomaly") else None
