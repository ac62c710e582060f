"""Lookup of the annotations (LabelMe, COCO, VIA) that belong to an image."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flawmap.data.masks.annotations import AnnotatedImage, Annotations
from flawmap.data.samples import Sample, plural
from flawmap.utils.printable import printable

_OTHER_TOOLS = {".xml", ".txt", ".csv"}
Places = Sequence[tuple[Path, str | None]]
_FOLDERS = {
    "annotations", "annotation", "labels", "masks", "mask", "ground_truth", "groundtruth", "gt",
}  # fmt: skip


def attach_annotations(
    samples: Sequence[Sample], places: Places, root: Path | None, shared: Container[str]
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Give each defective sample without mask its annotations, if there are any.

    A LabelMe file is beside the image, in one of the `places` for masks (each with the defect type
    that it serves, None for all), or in annotations/ or the like in `root`. A COCO or VIA file is
    in any of these folders or one of their parents, up to `root`. A name that is `shared` by
    several images must be given with its folder. Returns the samples, and notes on unreadable
    files.
    """
    if all(sample.mask is not None for sample in samples):
        return tuple(samples), ()
    places = [*places, *_kept_apart(root, {sample.defect_type for sample in samples})]
    folders = list(dict.fromkeys(_folders(samples, places, root)))
    annotations = Annotations(folders)
    attached = tuple(
        sample
        if sample.mask is not None
        else replace(sample, mask=_of(sample, annotations, places, shared))
        for sample in samples
    )
    bare = [sample.path for sample in attached if sample.mask is None]
    used = {s.mask.file for s in attached if isinstance(s.mask, AnnotatedImage)}
    others = [path for path in annotations.listing if path not in used] if bare else []
    others += _of_other_tools(bare, folders)
    return attached, (*_notes(annotations.problems), *_idle(others))


def _of(
    sample: Sample, annotations: Annotations, places: Places, shared: Container[str]
) -> AnnotatedImage | None:
    alone = sample.path.stem.casefold() not in shared
    beside = annotations.beside(sample.path, sample.path.parent)
    if beside is not None:
        return beside
    for folder, kind in places:
        serves = alone if kind is None else kind == sample.defect_type
        beside = annotations.beside(sample.path, folder) if serves else None
        if beside is not None:
            return beside
    return annotations.listed(sample.path, alone=alone)


def _kept_apart(
    root: Path | None, kinds: Iterable[str | None]
) -> Iterator[tuple[Path, str | None]]:
    """Yield folders in the root named as annotation folders, those of a defect type first."""
    if root is None:
        return
    folders = sorted(f for f in root.iterdir() if f.name.lower() in _FOLDERS and f.is_dir())
    yield from ((folder / kind, kind) for folder in folders for kind in kinds if kind is not None)
    yield from ((folder, None) for folder in folders)


def _folders(samples: Sequence[Sample], places: Places, root: Path | None) -> Iterator[Path]:
    """Yield the folders of images and masks, and their parents up to the root."""
    for folder in dict.fromkeys([*(s.path.parent for s in samples), *(f for f, _ in places)]):
        yield folder
        if root is not None and folder.is_relative_to(root):
            yield from (above for above in folder.parents if above.is_relative_to(root))


def _of_other_tools(bare: Sequence[Path], folders: Iterable[Path]) -> Iterator[Path]:
    """Yield files that may be annotations, by name, in formats that flawmap does not read."""
    stems = {text.casefold() for path in bare for text in (path.stem, path.name)}
    for folder in folders if bare else ():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            named = path.stem.casefold() in stems
            if path.suffix.lower() in _OTHER_TOOLS and (named or path.stem.lower() in _FOLDERS):
                yield path


def _idle(others: Sequence[Path]) -> Iterator[str]:
    if others:
        yield (
            f"{plural(len(others), 'file(s)')} of annotations not used, such as "
            f"{printable(others[0])}: export masks, LabelMe, COCO or VIA, with the images' names"
        )


def _notes(problems: Sequence[str]) -> Iterator[str]:
    if problems:
        yield f"{plural(len(problems), 'JSON file(s)')} left out, such as {problems[0]}"
