"""Recall on known defective images that the run has not learned from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from flawmap.calibration.images import digest_or_none
from flawmap.calibration.result import Recall
from flawmap.data.layouts.defects import open_defective_dataset
from flawmap.data.listing.images import is_folder
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.decision import Inspection, load_region
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.sources import list_images

_LOG = logging.getLogger("flawmap")


def defect_paths(given: Sequence[Path]) -> list[Path]:
    """List the given images and the defective ones of folders, read as ``refine`` reads them."""
    files = [path for path in given if not is_folder(path)]
    paths = [target.path for target in list_images(files)] if files else []
    for folder in (path for path in given if is_folder(path)):
        dataset = open_defective_dataset(folder)
        for line in dataset.left_out:
            _LOG.warning("%s", line)
        if good := {sample.path for sample in (*dataset.train, *dataset.good_test)}:
            _LOG.warning(
                "%s in %s left out: they are not defective.",
                plural(len(good), "good image(s)"),
                folder,
            )
        paths += [sample.path for sample in dataset.defective_test]
    return paths


def to_measure(paths: Sequence[Path], manifest: Manifest, warnings: list[str]) -> list[Path]:
    """Return the images without those learned from and without copies, and warn about both.

    Raises FlawmapError if none is left.
    """
    learned = frozenset(manifest.training.defects.files if manifest.training.defects else ())
    # a file that cannot be read is kept under its own name: measuring reports it
    digests = [(digest_or_none(path) or str(path), path) for path in paths]
    new = [(sha256, path) for sha256, path in digests if sha256 not in learned]
    kept: dict[str, Path] = {}
    for sha256, path in new:
        kept.setdefault(sha256, path)
    _warn(len(paths) - len(new), "the inspector learned from them", warnings)
    _warn(len(new) - len(kept), "the same as another", warnings)
    if not kept:
        raise FlawmapError(
            "The inspector learned from all of the known defects: name others as --defects to "
            "measure its recall."
        )
    return list(kept.values())


def measure_recall(
    run: Path, manifest: Manifest, paths: Sequence[Path], warnings: list[str]
) -> dict[str, Recall]:
    """Return the recall, ``rejected`` and ``noticed``, with the manifest's thresholds.

    Images that cannot be inspected are left out with a warning; FlawmapError if none can be.
    """
    inspector = Inspector.open(run, manifest, load_region(run, manifest))
    verdicts, failed = list[str](), list[str]()
    for one in inspect_files(inspector, paths):
        if isinstance(one, Inspection):
            verdicts.append(one.verdict)
        else:
            failed.append(str(one.error))
    if not verdicts:
        raise FlawmapError(f"None of the known defects could be inspected. {failed[0]}")
    _warn(len(failed), f"not inspected: {'; '.join(failed[:3])}", warnings)
    return {
        "rejected": Recall.of(verdicts.count("reject"), len(verdicts)),
        "noticed": Recall.of(len(verdicts) - verdicts.count("good"), len(verdicts)),
    }


def _warn(count: int, why: str, warnings: list[str]) -> None:
    if count:
        what = plural(count, "defective image(s)")
        warnings.append(f"{what} left out of the recall: {why.removesuffix('.')}.")
