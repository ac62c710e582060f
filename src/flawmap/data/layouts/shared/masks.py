"""Finding the mask that belongs to an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flawmap.data.layouts.shared.annotated import attach_annotations
from flawmap.data.layouts.shared.kinds import masks_by_stem
from flawmap.data.listing.images import Folder, is_folder
from flawmap.data.samples import Sample, plural


def attach_masks(
    samples: Sequence[Sample],
    folders: Iterable[tuple[Path, str | None]],
    root: Path | None = None,
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Give each defective sample its masks, named STEM, STEM_mask, STEM_gt and the like.

    `folders` are searched in order, best first, each with the defect type it serves; None serves
    all types, but never a stem that two images share, as the mask could belong to either.

    Samples without a mask get their annotations, searched up to `root`; see `attach_annotations`.
    Returns the samples, and notes on defective images without mask and masks without image.
    """
    folders = tuple(folders)
    masks = [(masks_by_stem(Folder(folder)), kind) for folder, kind in folders]
    shared = {stem for stem, n in Counter(_stem(s.path) for s in samples).items() if n > 1}
    matched = tuple(_attach(sample, masks, shared) for sample in samples)
    used = {path for sample in matched for path in (sample.mask, *sample.more_masks)}
    there = dict.fromkeys(p for by_stem, _ in masks for paths in by_stem.values() for p in paths)
    unused = [path for path in there if path not in used and not is_folder(path)]
    matched, notes = attach_annotations(matched, folders, root, shared)
    return matched, notes + tuple(_notes(matched, unused))


def _attach(
    sample: Sample, masks: list[tuple[dict[str, tuple[Path, ...]], str | None]], shared: set[str]
) -> Sample:
    stem = _stem(sample.path)
    if sample.mask is not None:
        return sample
    for by_stem, kind in masks:
        serves = stem not in shared if kind is None else kind == sample.defect_type
        if serves and stem in by_stem:
            return replace(sample, mask=by_stem[stem][0], more_masks=by_stem[stem][1:])
    return sample


def _notes(samples: Sequence[Sample], unused: list[Path]) -> Iterable[str]:
    bare = [sample.path for sample in samples if sample.mask is None]
    if bare and len(bare) < len(samples):
        yield f"{plural(len(bare), 'defective image(s)')} without mask, such as {bare[0]}"
    elif bare:
        yield "no masks: pixel metrics need them"
    if unused:
        yield f"{plural(len(unused), 'mask(s)')} without defective image, such as {unused[0]}"


def _stem(path: Path) -> str:
    return path.stem.casefold().removesuffix("_mask")
