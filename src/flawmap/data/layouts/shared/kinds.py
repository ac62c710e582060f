"""Folders named after their content, good parts or a defect type, and the samples in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from flawmap.data.listing.images import Folder, is_folder
from flawmap.data.listing.names import Reason, mask_base, words_of
from flawmap.data.masks.annotations import AnnotatedImage
from flawmap.data.samples import Sample, plural
from flawmap.types import Label
from flawmap.utils.printable import printable

_GOOD = frozenset(
    {
        "good", "ok", "okay", "normal", "normals", "pass", "passed", "io", "goodparts",
        "goodimages", "defectfree", "nodefect", "nodefects", "nondefective", "nodamage", "intact",
        "undamaged", "withoutdefect", "withoutdefects", "gut", "gutteile", "fehlerfrei", "bon",
        "bons", "conforme", "conformes", "bueno", "buenos", "buono", "良品", "正常", "合格",
        "合格品", "ok品",
    }
)  # fmt: skip
_BAD = frozenset(
    {
        "bad", "ko", "ng", "nok", "notok", "notgood", "nogood", "nio", "defective", "defectives",
        "defect", "defects", "abnormal", "anomaly", "anomalies", "anomalous", "faulty", "fail",
        "failed", "reject", "rejects", "rejected", "badparts", "damaged", "withdefect",
        "withdefects", "schlecht", "schlechtteile", "ausschuss", "fehler", "fehlerhaft", "defekt",
        "mauvais", "défaut", "défauts", "défectueux", "nonconforme", "nonconformes", "rebut",
        "malo", "malos", "defecto", "defectos", "difetto", "不良", "不良品", "缺陷", "异常",
        "不合格", "不合格品", "ng品",
    }
)  # fmt: skip
_UNSORTED = frozenset(
    {
        "train", "training", "test", "testing", "val", "valid", "validation", "unlabelled",
        "unlabeled", "unknown", "unsorted", "unclassified", "unchecked", "unseen", "new", "old",
        "raw", "images", "image", "imgs", "img", "pictures", "photos", "data", "tmp", "temp",
        "backup", "archive", "trash", "out", "output", "outputs", "results", "incoming", "inbox",
        "todo", "review",
    }
)  # fmt: skip
_UNDOES = frozenset({"no", "non", "not", "without", "zero", "free"})


def is_good(folder: Folder) -> bool:
    """Whether a folder's name says good parts, in one of the usual spellings."""
    return _plain(folder.name) in _GOOD


def is_bad(folder: Folder) -> bool:
    """Whether a folder's name says defective parts without a particular type."""
    return _plain(folder.name) in _BAD


def is_masks(folder: Folder) -> bool:
    """Whether a folder beside images or defect types holds masks."""
    return folder.holds_masks or folder.name.casefold() == "gt"


def is_unsorted(folder: Folder) -> bool:
    """Whether a folder's name gives no label or defect type: test, unlabelled, good_old."""
    words = words_of(folder.name)
    if not words or is_good(folder) or is_bad(folder):
        return False
    return all(word in _UNSORTED for word in words) or any(word in _GOOD for word in words)


def says_defective(stem: str) -> bool:
    """Whether a file's name says that it shows a defective part.

    >>> says_defective("NG_017"), says_defective("not ok 3"), says_defective("no_defect_2")
    (True, True, False)
    """
    words = words_of(stem)
    pairs = {"".join(pair) for pair in pairwise(words)}
    if pairs & _BAD:
        return True
    return any(word in _BAD for word in words) and not (pairs & _GOOD or _UNDOES & {*words})


def good_folders(folder: Folder) -> list[Folder]:
    """Return the folders of good parts directly in a folder."""
    return [below for below in folder.folders if is_good(below)]


def bad_folders(folder: Folder) -> list[Folder]:
    """Return the folders of defective parts directly in a folder."""
    return [below for below in folder.folders if is_bad(below)]


def samples_below(
    folder: Folder,
    label: Label,
    kind: str | None = None,
    truths: Sequence[Folder | None] = (),
    *,
    deep: bool = True,
) -> list[Sample]:
    """Return all images of parts in a folder and, if ``deep``, below, with their masks.

    Masks are beside the images, in a folder ``masks`` there, or below one of ``truths`` in the same
    subfolders as the images below ``folder``; there a folder named like an image holds several.
    Good images get no masks; theirs are counted as left out. So are images in a subfolder whose
    name says the other label.
    """
    mask = Reason.MASK if label == "good" else Reason.COMPANION
    other = is_bad if label == "good" else is_good

    def skip(below: Folder) -> Reason | None:
        if is_masks(below):
            return mask
        return Reason.CONTRARY if other(below) else below.is_depth

    places = folder.all_below(skip)
    samples: list[Sample] = []
    for place in places if deep else [folder]:
        if label == "good":
            samples += [Sample(path, label) for path in place.images]
            count_masks(place)
            continue
        relative = place.path.relative_to(folder.path)
        masks = _masks_of(place, [_same_place(truth, relative) for truth in truths])
        for path in place.images:
            own = masks.get(path, ())
            samples.append(Sample(path, label, kind, next(iter(own), None), own[1:]))
    return samples


def mask_files(sample: Sample) -> list[Path | AnnotatedImage]:
    """Return the files that together are a sample's ground truth; none if it has no mask."""
    files: list[Path | AnnotatedImage] = []
    for source in () if sample.mask is None else (sample.mask, *sample.more_masks):
        if isinstance(source, Path) and is_folder(source):
            files += Folder(source).files
        else:
            files.append(source)
    return files


def count_masks(folder: Folder) -> None:
    """Count the masks beside images as left out."""
    for masks in folder.masks.values():
        folder.left_out.add(Reason.MASK, masks[0], len(masks))


def unlabelled(folders: Iterable[Folder], why: str) -> tuple[str, ...]:
    """Return a note on all images in folders that do not label them, if there are any."""
    paths = [path for folder in folders for path in folder.images_below()]
    if not paths:
        return ()
    return (f"{plural(len(paths), 'image(s)')} left out, such as {printable(paths[0])}: {why}",)


def elsewhere(places: Iterable[Folder | None], known: Collection[str]) -> tuple[str, ...]:
    """Return a note on images in folders of `places` whose names the layout does not know."""
    others = [
        below
        for place in places
        if place is not None
        for below in place.folders
        if below.name.casefold() not in known and not is_masks(below)
    ]
    return unlabelled(others, "they lie in no folder that this layout has")


def hold_images(folders: Iterable[Folder], most: int = 500) -> bool:
    """Whether there are images in or below the folders; searches at most ``most`` folders."""
    return any(place.images for folder in folders for place in (folder, *folder.first_below(most)))


def some(names: Sequence[str | Path], most: int = 15) -> str:
    """Return the first names in one line, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(str(name)) for name in names[:most]) + more


def _masks_of(place: Folder, truths: Sequence[Folder | None]) -> dict[Path, tuple[Path, ...]]:
    """Return the masks of images in a folder; two of one name get none from other folders."""
    stems = Counter(path.stem.casefold() for path in place.images)
    by_image: dict[Path, tuple[Path, ...]] = dict(place.masks)
    for folder in (*place.masks_beside, *truths):
        by_stem = {} if folder is None else masks_by_stem(folder)
        for path in place.images:
            stem = path.stem.casefold()
            if stem in by_stem and stems[stem] == 1:
                by_image.setdefault(path, by_stem[stem])
    return by_image


def masks_by_stem(folder: Folder) -> dict[str, tuple[Path, ...]]:
    """Return folders of masks by name, and files by stem, with and without ``_mask``."""
    folders = {below.name.casefold(): (below.path,) for below in folder.folders if below.files}
    plain: dict[str, tuple[Path, ...]] = {}
    marked: dict[str, tuple[Path, ...]] = {}
    for path in folder.files:
        stem = path.stem.casefold()
        plain[stem] = (path,)
        if (base := mask_base(stem)) != stem:
            marked[base] = (*marked.get(base, ()), path)
    return {**folders, **plain, **marked}


def _same_place(truth: Folder | None, relative: Path) -> Folder | None:
    for part in relative.parts:
        truth = None if truth is None else truth.child(part.casefold())
    return truth


def _plain(name: str) -> str:
    """Join the words of a name: good_1, 0_good and Good become the same."""
    return "".join(words_of(name))
