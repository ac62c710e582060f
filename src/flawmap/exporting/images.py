"""Locate the good images that an export is calibrated and compared on."""

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
_RANGE_IMAGES = 32
_SAMPLE = 100
_STRIDE = 5  # step of the tile index from one image to the next


@dataclass(frozen=True)
class Calibrating:
    """Good images that set the thresholds of an export, SHA-256 by path.

    ``stored``: their scores that set the run's thresholds, if these images calibrate the run.
    ``places``: the folders they were read from, if they do not.
    """

    sha256: dict[Path, str]
    stored: tuple[float, ...] | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoodImages:
    """Good images of a run, used to measure differences and to set thresholds.

    ``sample``: up to 100 of them. ``calibrating``: all that set thresholds, or None with the reason
    in ``why_not``. ``known``: all available good images, trained on or not.
    """

    framing: Framing
    sample: tuple[Path, ...]
    calibrating: Calibrating | None
    why_not: str
    known: tuple[Path, ...]
    trained_on: frozenset[str]

    def range_images(self) -> NDArray[np.uint8] | None:
        """Return one tile of each of up to 32 evenly spread training images, (N, h, w, 3).

        None if none is available. INT8 takes its ranges from them. Images that set the ranges must
        not set the thresholds, whose guarantee would not hold.
        """
        trained = [path for path in self.known if digest_or_none(path) in self.trained_on]
        return _tiles(_spread(trained, _RANGE_IMAGES), self.framing) if trained else None

    @property
    def sample_tiles(self) -> NDArray[np.uint8]:
        """One tile of each image of the sample, (N, h, w, 3)."""
        return _tiles(self.sample, self.framing)

    def padded(self, paths: Sequence[Path]) -> Iterator[PaddedImage]:
        """Read and preprocess these images one by one, as the inspector does."""
        return (self.framing.read(path) for path in paths)


def good_images(run: Path, manifest: Manifest, images: Sequence[Path] = ()) -> GoodImages:
    """Locate the good images to export ``run`` with.

    The images that calibrate the run are identified by SHA-256: in ``images``, where ``calibrate``
    took them from, and in the training folder. If the run was calibrated by folds, those of
    ``images`` that it was not trained on are used instead. Raises FlawmapError
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
    return GoodImages(framing, _spread(sample, _SAMPLE), calibrating, why_not, known, trained_on)


def _calibrating(
    run: Path, manifest: Manifest, images: Sequence[Path], named: Sequence[Path]
) -> tuple[Calibrating | None, str]:
    """Return the images that set thresholds, or None and the reason."""
    stored = manifest.calibration
    recalibrate = f"flawmap calibrate {run} GOOD_IMAGES"
    if stored.folds and images:
        warnings: list[str] = []
        untrained = new_images(manifest, named, False, warnings)
        for line in warnings:
            _LOG.warning("%s", line)
        return Calibrating(untrained, places=places_of(images)), ""
    if stored.folds:
        return None, (
            f"{run} was calibrated by folds and trained on all of those images, so that they "
            f"cannot set thresholds. Give other good images with --images, or: {recalibrate}"
        )
    located = locate(manifest, images)
    if not located.complete:
        return None, (
            f"{run}: {located.describe()}. Give the folder that holds them with --images, or "
            f"calibrate on others: {recalibrate}"
        )
    score_of = dict(zip(stored.images, stored.scores, strict=True))
    scores = tuple(score_of[sha256] for sha256 in located.paths)
    return Calibrating(located.good, scores, stored.places), ""


def _known_good(manifest: Manifest, named: Sequence[Path]) -> tuple[Path, ...]:
    """Return the named good images and those of the training folder, trained on or not."""
    paths = dict.fromkeys(named)
    folder = Path(manifest.training.folder)
    if folder.is_dir():
        try:
            dataset = open_dataset(folder, manifest.training.layout)
        except FlawmapError:  # no longer the data that was trained on
            return tuple(paths)
        for line in dataset.left_out:
            _LOG.warning("%s", line)
        paths = dict.fromkeys(dataset.good_train) | paths
    return tuple(paths)


def _spread(paths: Sequence[Path], most: int) -> tuple[Path, ...]:
    """Pick at most ``most`` paths, evenly spread."""
    count = min(most, len(paths))
    return tuple(paths[index * len(paths) // count] for index in range(count))


def _tiles(paths: Sequence[Path], framing: Framing) -> NDArray[np.uint8]:
    """Stack one tile of each image, (N, h, w, 3); the tile position varies between images."""
    tiles = []
    for index, path in enumerate(paths):
        image = framing.read(path)
        tiles.append(image.tile(index * _STRIDE % image.layout.count).copy())
    return np.stack(tiles)
