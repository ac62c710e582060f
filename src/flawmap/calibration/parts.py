"""Selection of one image per part, for a run trained with ``--group``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from flawmap.calibration.images import locate
from flawmap.data.groups import group_further_images
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest


def one_of_each_part(
    manifest: Manifest, images: Mapping[Path, str], add: bool, warnings: list[str]
) -> dict[Path, str]:
    """Return the first image of each part; with ``add``, only of parts not yet in calibration."""
    rule = manifest.training.group
    if rule is None:
        return dict(images)
    before = list(locate(manifest).good) if add else []
    paths = [*before, *images]
    groups = group_further_images(paths, rule)
    if groups is None:
        if len(images) > 1:
            warnings.append(
                f"--group {rule} identified parts in training, but not in these images: each image "
                "counts as a part. If some show the same part, the guarantee is too optimistic: "
                "give one image of each."
            )
        return dict(images)
    taken = set(groups[: len(before)].tolist())
    kept: dict[Path, str] = {}
    for path, group in zip(images, groups[len(before) :].tolist(), strict=True):
        if group not in taken:
            kept[path] = images[path]
            taken.add(group)
    if not kept:
        raise FlawmapError(
            "No good image is left: all show parts that already set thresholds. Give images of "
            "other parts."
        )
    if more := len(images) - len(kept):
        warnings.append(
            f"{plural(more, 'image(s)')} left out: by --group {rule} they show parts of which "
            "another image sets the thresholds."
        )
    return kept


def shots_of(paths: Sequence[Path], chosen: Sequence[bool], rule: str | None) -> list[bool]:
    """Return which images show the same part as any ``chosen`` one, including those themselves."""
    groups = None if rule is None else group_further_images(paths, rule)
    if groups is None:
        return list(chosen)
    parts = set(groups[list(chosen)].tolist())
    return [group in parts for group in groups.tolist()]
