"""Room for calibration images in a run's manifest, checked before they are inspected."""

from __future__ import annotations

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import MANIFEST, MOST_BYTES, Manifest
from flawmap.utils.files import encode_json

_SCORE, _DIGEST = 24, 66  # characters: the longest float, a SHA-256 in quotes
_LINE = 12  # indentation, comma and line end
_ENTRY_BYTES = 2 * (_SCORE + _LINE) + _DIGEST + _LINE  # score, map maximum and digest of an image


def check_room(manifest: Manifest, images: int, *, add: bool) -> None:
    """Raise FlawmapError if the manifest might not hold ``images`` new calibration images.

    They replace the current ones in each of the run's calibrations, its own and those of exports,
    or with ``add`` extend them.
    """
    rest = manifest.model_dump(mode="json")
    exports = (export["calibration"] for export in rest["exports"].values())
    calibrations = [rest["calibration"], *(one for one in exports if one is not None)]
    kept = sum(len(one["scores"]) for one in calibrations) if add else 0
    for one in calibrations:
        one.update(scores=[], peaks=[], images=[])
    entries = (MOST_BYTES - len(encode_json(rest))) // _ENTRY_BYTES
    most = max(0, (entries - kept) // len(calibrations))
    if images > most:
        raise FlawmapError(
            f"{MANIFEST} may take {MOST_BYTES >> 20} MiB, too little for {images:,} "
            f"{'more ' if add else ''}calibration images: give at most {most:,}."
        )
