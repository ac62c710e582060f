"""Locating of a run's calibration images on disk by their file digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.data.image_io.images import is_image_name
from flawmap.data.layouts import open_dataset
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.sources import walk_images
from flawmap.utils.files import digest

_DIRECTLY = "*"  # FOLDER/* means the images directly in FOLDER


@dataclass(frozen=True)
class Located:
    """Calibration images of a run: path by SHA-256, in the order of the calibration.

    ``wanted``: number of distinct images; ``searched``: the places that were searched.
    """

    paths: dict[str, Path]
    wanted: int
    searched: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the run records its calibration images and all were located."""
        return 0 < self.wanted == len(self.paths)

    @property
    def good(self) -> dict[Path, str]:
        """SHA-256 by path."""
        return {path: sha256 for sha256, path in self.paths.items()}

    def describe(self) -> str:
        """State how many were located and which places were searched."""
        if not self.wanted:
            return "the run does not record which images calibrate it"
        return f"{len(self.paths)} of the {self.wanted} images that calibrate it were found in " + (
            ", ".join(self.searched)
        )


def locate(manifest: Manifest, also: Sequence[Path] = ()) -> Located:
    """Locate the run's calibration images by their digests.

    Search ``also``, then where ``calibrate`` took them from, then the training folder. Names are
    listed, and files are read only until all are located.
    """
    wanted = set(manifest.calibration.images)
    searched = [*places_of(also), *manifest.calibration.places, manifest.training.folder]
    paths: dict[str, Path] = {}
    for place in dict.fromkeys(searched):
        for path in _candidates(place):
            if len(paths) == len(wanted):
                break
            sha256 = digest_or_none(path)
            if sha256 in wanted:
                paths.setdefault(sha256, path)
    in_order = {one: paths[one] for one in manifest.calibration.images if one in paths}
    return Located(in_order, len(wanted), tuple(dict.fromkeys(searched)))


def places_of(images: Iterable[Path]) -> tuple[str, ...]:
    """Return folders unchanged and FOLDER/* for files, as absolute paths without duplicates."""
    places = (
        path.absolute() if path.is_dir() else path.absolute().parent / _DIRECTLY for path in images
    )
    return tuple(dict.fromkeys(str(place) for place in places))


def digest_or_none(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None if it cannot be read."""
    try:
        return digest(path)
    except (OSError, FlawmapError):
        return None


def _candidates(place: str) -> Iterator[Path]:
    """Yield images in a place, first those that a data folder's layout labels as good."""
    folder = Path(place)
    if folder.name == _DIRECTLY:
        if folder.parent.is_dir():
            yield from (path for path in sorted(folder.parent.iterdir()) if is_image_name(path))
        return
    if not folder.is_dir():
        return
    first: dict[Path, None] = {}
    try:
        dataset = open_dataset(folder, training=False)
        first = dict.fromkeys(s.path for s in (*dataset.train, *dataset.good_test))
    except FlawmapError:
        pass  # a folder without a known layout may still contain them
    yield from first
    yield from (path for path in walk_images(folder, None, lenient=True) if path not in first)
