"""Where a run's images lie: those it was trained on, those that calibrate it, its known defects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flawmap.calibration.images import digest_or_none, locate
from flawmap.data.groups import names_of_parts
from flawmap.data.layouts import Dataset, DatasetError, Sample, open_dataset
from flawmap.data.layouts.defects import open_defects
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.sources import walk_images


@dataclass(frozen=True)
class Sources:
    """Images for a refinement, by role; no file has two.

    ``train``: good images that the first run was trained on; ``added``: those that refinements
    added, this one last; ``held``: those that calibrate the parent, in its order; ``set_aside``:
    other images of their parts. ``defects``: known ones, old and new. ``notes``: lines for the
    user.
    """

    dataset: Dataset
    train: tuple[Path, ...]
    added: tuple[Path, ...]
    held: tuple[Path, ...]
    set_aside: tuple[Path, ...]
    defects: tuple[Sample, ...]
    notes: tuple[str, ...]


def find_sources(
    parent: Manifest, data: Path | None, good: Path | None, defects: Path | None
) -> Sources:
    """Find the parent's images by content in ``data``, and add those of ``good`` and ``defects``.

    By default ``data`` is where the parent was trained. Raises UsageError if its images are no
    longer there, FlawmapError if no image of ``good`` is new.
    """
    places = _places(parent, data)
    dataset = open_dataset(places[0], "auto" if data is not None else parent.training.layout)
    by_digest = _by_digest(places, dataset)
    hard = added_before(parent)
    first = [one for one in parent.training.trained_on if one not in hard]
    trained, again, aside = (
        tuple(by_digest[one] for one in files if one in by_digest)
        for files in (first, hard, parent.training.set_aside)
    )
    wanted = len(parent.training.trained_on)
    _need("trained on", len(trained) + len(again), wanted, map(str, places))
    calibrating = locate(parent, also=places)
    if not calibrating.wanted:
        raise UsageError(
            "It does not record which images calibrate it: run flawmap calibrate with good images "
            "that it was not trained on."
        )
    _need("calibrated with", len(calibrating.paths), calibrating.wanted, calibrating.searched)
    held = tuple(calibrating.paths.values())
    added, notes = _added(good, parent, (*held, *aside), (dataset.root, *places))
    known, about = _known(parent, defects, data)
    return Sources(dataset, trained, (*again, *added), held, aside, known, (*notes, *about))


def added_before(parent: Manifest) -> tuple[str, ...]:
    """SHA-256 of the good images that earlier refinements added."""
    return tuple(sha256 for one in parent.training.history for sha256 in one.added)


def _places(parent: Manifest, data: Path | None) -> list[Path]:
    """Return the folders that hold the parent's good images, the data folder first."""
    added = [Path(one.good) for one in parent.training.history if one.good is not None]
    first = data if data is not None else Path(parent.training.folder)
    if not first.is_dir():
        raise UsageError(
            f"The images that it was trained on are no longer in {first}: give --data DIR."
        )
    return list(dict.fromkeys([first, *(place for place in added if place.is_dir())]))


def _by_digest(places: Sequence[Path], dataset: Dataset) -> dict[str, Path]:
    """Return the good images of all places by their SHA-256."""
    paths = [sample.path for sample in (*dataset.train, *dataset.good_test)]
    for place in places[1:]:
        with suppress(DatasetError):  # its images are missed below
            paths += _good_in(place)[0]
    digests = ((digest_or_none(path), path) for path in dict.fromkeys(paths))
    return {sha256: path for sha256, path in digests if sha256 is not None}


def _need(role: str, found: int, wanted: int, places: Iterable[str]) -> None:
    if found < wanted:
        raise UsageError(
            f"Only {found} of the {wanted} images that it was {role} are in {', '.join(places)}: "
            "give --data DIR with all of them, or train anew with --defects."
        )


def _good_in(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images of a folder of good parts, and notes about others in it.

    All of a folder without subfolders of images are good, whatever it and they are called, such as
    `rejected`: that is what was said of them. Raises DatasetError if there are none.
    """
    images = list(walk_images(folder, None, lenient=True)) if folder.is_dir() else []
    if images and all(path.parent == folder for path in images):
        return images, ()
    dataset = open_dataset(folder)
    return list(dataset.good_train), tuple(dataset.notes)


def _added(
    good: Path | None, parent: Manifest, held: Sequence[Path], roots: Sequence[Path]
) -> tuple[tuple[Path, ...], list[str]]:
    """Return good images that the parent does not know yet, and lines about the others.

    Other shots of parts that calibrate (``held``, below one of ``roots``) are not trained on,
    either.
    """
    if good is None:
        return (), []
    found, notes = _good_in(good)
    digests = {path: digest_or_none(path) for path in found}
    known = {*parent.training.trained_on, *parent.training.set_aside, *parent.calibration.images}
    readable = {sha256: path for path, sha256 in digests.items() if sha256 is not None}
    new = [path for sha256, path in readable.items() if sha256 not in known]
    rule = parent.training.group
    parts = [None] * len(new) if rule is None else names_of_parts(new, good, rule)
    calibrate = set() if rule is None else _parts_of(held, roots, rule)
    kept = tuple(path for path, part in zip(new, parts, strict=True) if part not in calibrate)
    told = {
        "had a role in it already and keep it.": len(readable) - len(new),
        f"left out: by --group {rule} they show parts that calibrate.": len(new) - len(kept),
        "left out: they cannot be read.": list(digests.values()).count(None),
    }
    lines = [f"{plural(count, 'image(s)')} of {good} {why}" for why, count in told.items() if count]
    lines = [*notes, *lines]
    if rule is not None and None in parts:
        lines.append(
            f"--group {rule} identifies no part for {plural(parts.count(None), 'image(s)')} of "
            f"{good}: if some show a part that calibrates, the guarantee is too optimistic. Give "
            "them names or folders as in training."
        )
    if not kept:
        raise FlawmapError(
            f"No image of {good} is new to it: give other good images. {' '.join(lines)}"
        )
    return kept, lines


def _parts_of(paths: Sequence[Path], roots: Sequence[Path], rule: str) -> set[str]:
    """Return what identifies the parts of images, each named below the first root that holds it."""
    found: set[str | None] = set()
    for path in paths:
        root = next((one for one in roots if one in path.parents), path.parent)
        found |= {*names_of_parts([path], root, rule)}
    return {one for one in found if one is not None}


def _known(
    parent: Manifest, defects: Path | None, data: Path | None
) -> tuple[tuple[Sample, ...], list[str]]:
    """Return the known defects, those that the parent learned from included.

    They are looked for where it found them, and in ``data``.
    """
    samples, notes = open_defects(defects) if defects is not None else ((), ())
    lines = list(notes)
    learned = parent.training.defects
    if learned is None:
        return samples, lines
    given = {digest_or_none(sample.path) for sample in samples}
    missing = set(learned.files) - given
    earlier: list[Sample] = []
    places = [*map(Path, learned.folders), *([] if data is None else [data])]
    for folder in places:
        for sample in _defects_in(folder) if missing else ():
            sha256 = digest_or_none(sample.path)
            if sha256 in missing:
                missing.discard(sha256)
                earlier.append(sample)
    if missing:
        lines.append(
            f"{plural(len(missing), 'defective image(s)')} that it had learned from: no longer in "
            f"{', '.join(learned.folders)}. Its head knows them, and does not see them again."
        )
    return (*samples, *earlier), lines


def _defects_in(folder: Path) -> tuple[Sample, ...]:
    """Return the defective images of a folder; none if there are none any more."""
    try:
        return open_defects(folder)[0]
    except DatasetError:
        return ()
