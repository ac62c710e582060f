"""Find the real images that an export is calibrated and compared with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.calibration.calibrate import good_paths, new_images
from flawmap.calibration.images import digest_or_none, locate, places_of
from flawmap.data.layouts import open_dataset
from flawmap.data.resize import Framing, PaddedImage
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest

_LOG = logging.getLogger("flawmap")
_LEARN = 32
_JUDGE = 100
_STRIDE = 5  # step of the tile index from one image to the next


@dataclass(frozen=True)
class Calibrating:
    """Good images that set the thresholds of an export, SHA-256 by path.

    ``stored``: if these images calibrate the run, their scores that set the run's thresholds.
    ``places``: where they lay, if they are others.
    """

    sha256: dict[Path, str]
    stored: tuple[float, ...] | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoodImages:
    """Good images of a run, used to measure differences and to set thresholds.

    ``sample``: up to 100 of them. ``calibrating``: all that set thresholds, or None with the reason
    in ``why_not``. ``known``: available good images, whether trained on or not.
    """

    framing: Framing
    sample: tuple[Path, ...]
    calibrating: Calibrating | None
    why_not: str
    known: tuple[Path, ...]
    trained_on: frozenset[str]

    def learn(self) -> NDArray[np.uint8] | None:
        """Return one tile of each of up to 32 evenly spread training images, (N, h, w, 3).

        None if none is available. INT8 takes its ranges from them. Images that set the ranges must
        not set the thresholds, or their guarantee would not hold.
        """
        trained = [path for path in self.known if digest_or_none(path) in self.trained_on]
        return _windows(_spread(trained, _LEARN), self.framing) if trained else None

    @property
    def judge(self) -> NDArray[np.uint8]:
        """One tile of each image of the sample, (N, h, w, 3)."""
        return _windows(self.sample, self.framing)

    def padded(self, paths: Sequence[Path]) -> Iterator[PaddedImage]:
        """Read these images one by one, as the inspector sees them."""
        return (self.framing.read(path) for path in paths)


def good_images(run: Path, manifest: Manifest, images: Sequence[Path] = ()) -> GoodImages:
    """Find the good images to export ``run`` with.

    The images that calibrate the run are found by their files' digests: in ``images``, where
    ``calibrate`` took them from, and in the folder trained from. If the run was calibrated by
    folds, the images among ``images`` that it has not seen are used instead. Raises FlawmapError
    if there is no good image at all.
    """
    named = good_paths(images) if images else []
    calibrating, why_not = _calibrating(run, manifest, images, named)
    known = _known_good(manifest, named)
    sample = tuple(calibrating.sha256) if calibrating else known
    if not sample:
        raise FlawmapError(
            f"Exporting needs good images, and {manifest.training.folder} has none: give others "
            "with --images."
        )
    framing = manifest.preprocessing.framing
    trained_on = frozenset(manifest.training.trained_on)
    return GoodImages(framing, _spread(sample, _JUDGE), calibrating, why_not, known, trained_on)


def _calibrating(
    run: Path, manifest: Manifest, images: Sequence[Path], named: Sequence[Path]
) -> tuple[Calibrating | None, str]:
    """Return the images that set thresholds, or None and the reason."""
    stored = manifest.calibration
    way_out = f"flawmap calibrate {run} GOOD_IMAGES"
    if stored.folds and images:
        warnings: list[str] = []
        found = new_images(manifest, named, False, warnings)
        for line in warnings:
            _LOG.warning("%s", line)
        return Calibrating(found, places=places_of(images)), ""
    if stored.folds:
        return None, (
            f"{run} was calibrated by folds and trained on all of those images, so that they "
            f"cannot set thresholds. Give good images that it has not seen with --images, or: "
            f"{way_out}"
        )
    located = locate(manifest, images)
    if not located.complete:
        return None, (
            f"{run}: {located.describe()}. Give the folder that holds them with --images, or "
            f"calibrate on others: {way_out}"
        )
    score_of = dict(zip(stored.images, stored.scores, strict=True))
    scores = tuple(score_of[sha256] for sha256 in located.paths)
    return Calibrating(located.good, scores, stored.places), ""


def _known_good(manifest: Manifest, named: Sequence[Path]) -> tuple[Path, ...]:
    """Return the good images named and of the training folder, whether trained on or not."""
    found = dict.fromkeys(named)
    folder = Path(manifest.training.folder)
    if folder.is_dir():
        try:
            dataset = open_dataset(folder, manifest.training.layout)
        except FlawmapError:  # no longer the data that was trained on
            return tuple(found)
        for line in dataset.left_out:
            _LOG.warning("%s", line)
        found = dict.fromkeys(dataset.good_train) | found
    return tuple(found)


def _spread(paths: Sequence[Path], most: int) -> tuple[Path, ...]:
    """Pick at most ``most`` paths, evenly spread."""
    count = min(most, len(paths))
    return tuple(paths[index * len(paths) // count] for index in range(count))


def _windows(paths: Sequence[Path], framing: Framing) -> NDArray[np.uint8]:
    """Stack one tile of each image, (N, h, w, 3); the tile position varies between images."""
    found = []
    for index, path in enumerate(paths):
        image = framing.read(path)
        found.append(image.tile(index * _STRIDE % image.layout.count).copy())
    return np.stack(found)
