"""Where a run's images lie: those it was trained on, those that calibrate it, its known defects."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from flawmap.calibration.images import digest_or_none
from flawmap.data.layouts import Dataset, Sample, open_dataset
from flawmap.data.layouts.defects import open_defects
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Manifest


@dataclass(frozen=True)
class Sources:
    """Images for a refinement, by role; no file has two.

    ``train``: good images that the parent was trained on; ``added``: further ones; ``held``: those
    that calibrate it, in its order; ``set_aside``: other images of their parts. ``defects``: known
    ones, old and new. ``notes``: lines for the user.
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
    longer there, or if there is nothing to learn.
    """
    places = _places(parent, data)
    dataset = open_dataset(places[0], "auto" if data is not None else parent.training.layout)
    by_digest = _by_digest(places, dataset)
    roles = {
        "trained on": parent.training.trained_on,
        "calibrated with": parent.calibration.images,
        "set aside": parent.training.set_aside,
    }
    found = {
        role: [by_digest[one] for one in files if one in by_digest] for role, files in roles.items()
    }
    for role in ("trained on", "calibrated with"):
        _need(role, len(found[role]), len(roles[role]), places)
    taken = {sha256 for files in roles.values() for sha256 in files}
    added, notes = _added(good, taken)
    known, about = _known(parent, defects)
    if not added and not known:
        raise UsageError("There is nothing to learn: give --defects DIR, --good DIR, or both.")
    return Sources(
        dataset,
        tuple(found["trained on"]),
        added,
        tuple(found["calibrated with"]),
        tuple(found["set aside"]),
        known,
        (*notes, *about),
    )


def _places(parent: Manifest, data: Path | None) -> list[Path]:
    """Return the folders that hold the parent's good images, the data folder first."""
    added = [Path(one.good) for one in parent.training.history if one.good is not None]
    first = data if data is not None else Path(parent.training.folder)
    if not first.is_dir():
        raise UsageError(
            f"The images that it was trained on are no longer in {first}: give --data DIR."
        )
    return [
        first,
        *(Path(place) for place in parent.calibration.places if Path(place).is_dir()),
        *added,
    ]


def _by_digest(places: Iterable[Path], dataset: Dataset) -> dict[str, Path]:
    """Return the good images of all places by their SHA-256."""
    paths = [sample.path for sample in (*dataset.train, *dataset.good_test)]
    for place in list(places)[1:]:
        paths += open_dataset(place).good_train if place.is_dir() else ()
    digests = ((digest_or_none(path), path) for path in dict.fromkeys(paths))
    return {sha256: path for sha256, path in digests if sha256 is not None}


def _need(role: str, found: int, wanted: int, places: Collection[Path]) -> None:
    if found == wanted:
        return
    searched = ", ".join(map(str, places))
    raise UsageError(
        f"Only {found} of the {wanted} images that it was {role} are in {searched}: give --data "
        "DIR with all of them, or train anew with --defects."
    )


def _added(good: Path | None, taken: Collection[str]) -> tuple[tuple[Path, ...], list[str]]:
    """Return good images that the parent does not know yet, and lines about the others."""
    if good is None:
        return (), []
    images = {digest_or_none(path): path for path in open_dataset(good).good_train}
    new = tuple(path for sha256, path in images.items() if sha256 and sha256 not in taken)
    known = len(images) - len(new)
    if not new:
        raise FlawmapError(f"It already knows all images of {good}: give other good images.")
    told = f"{plural(known, 'image(s)')} of {good} had a role in it already and keep it."
    return new, [told] if known else []


def _known(parent: Manifest, defects: Path | None) -> tuple[tuple[Sample, ...], list[str]]:
    """Return the known defects, those that the parent learned from included."""
    samples, notes = open_defects(defects) if defects is not None else ((), ())
    lines = list(notes)
    learned = parent.training.defects
    if learned is None:
        return samples, lines
    given = {digest_or_none(sample.path) for sample in samples}
    missing = set(learned.files) - given
    earlier: list[Sample] = []
    for folder in learned.folders:
        if missing and Path(folder).is_dir():
            for sample in open_defects(folder)[0]:
                sha256 = digest_or_none(sample.path)
                if sha256 in missing:
                    missing.discard(sha256)
                    earlier.append(sample)
    if missing:
        lines.append(
            f"{plural(len(missing), 'defective image(s)')} that it had learned from are no longer "
            f"in {', '.join(learned.folders)}: this run does not learn from them."
        )
    return (*samples, *earlier), lines
