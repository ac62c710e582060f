"""The images that calibrate a run, found again on the disk by the digests of their files."""

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

_DIRECTLY = "*"  # FOLDER/* means the images directly in it


@dataclass(frozen=True)
class Located:
    """Images that calibrate a run: path by SHA-256, in the order of the calibration.

    ``wanted``: how many different ones there are; ``looked``: where they were looked for.
    """

    paths: dict[str, Path]
    wanted: int
    looked: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every one was found, and the run knows which they are."""
        return 0 < self.wanted == len(self.paths)

    @property
    def good(self) -> dict[Path, str]:
        """SHA-256 by path."""
        return {path: sha256 for sha256, path in self.paths.items()}

    def describe(self) -> str:
        """How many were found, and where they were looked for."""
        if not self.wanted:
            return "the run does not record which images calibrate it"
        return f"{len(self.paths)} of the {self.wanted} images that calibrate it were found in " + (
            ", ".join(self.looked)
        )


def locate(manifest: Manifest, also: Sequence[Path] = ()) -> Located:
    """Find the images that calibrate the run: in ``also``, where ``calibrate`` took them from, and
    in the folder trained from. Only names are read, and files until all are found."""
    wanted = set(manifest.calibration.images)
    looked = [*places_of(also), *manifest.calibration.places, manifest.training.folder]
    found: dict[str, Path] = {}
    for place in dict.fromkeys(looked):
        for path in _candidates(place):
            if len(found) == len(wanted):
                break
            sha256 = digest_or_none(path)
            if sha256 in wanted:
                found.setdefault(sha256, path)
    in_order = {one: found[one] for one in manifest.calibration.images if one in found}
    return Located(in_order, len(wanted), tuple(dict.fromkeys(looked)))


def places_of(images: Iterable[Path]) -> tuple[str, ...]:
    """Folders as they are, and FOLDER/* for files in a folder: absolute, each once."""
    places = (
        path.absolute() if path.is_dir() else path.absolute().parent / _DIRECTLY for path in images
    )
    return tuple(dict.fromkeys(str(place) for place in places))


def digest_or_none(path: Path) -> str | None:
    """SHA-256 of a file; None where it cannot be read."""
    try:
        return digest(path)
    except (OSError, FlawmapError):
        return None


def _candidates(place: str) -> Iterator[Path]:
    """Images in a place, those first that the layout of a data folder calls good."""
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
        pass  # a folder in no layout may hold them all the same
    yield from first
    yield from (path for path in walk_images(folder, None, lenient=True) if path not in first)
