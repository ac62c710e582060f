"""``flawmap regions``: set the region of interest and which regions count as defects."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from flawmap.calibration.calibrate import good_paths, new_images
from flawmap.calibration.images import locate, places_of
from flawmap.calibration.recalibrate import Rates, Recalibrator, Show
from flawmap.data.listing.images import Paths, as_paths
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Manifest, changing
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.defects import Filters
from flawmap.inspection.roi.drawing import draw_region, sizes_of
from flawmap.inspection.roi.mask import Mask, Region, region_file
from flawmap.utils.files import write_bytes


def regions(
    run: str | os.PathLike[str],
    *,
    roi: str | os.PathLike[str] | None = None,
    ignore: str | os.PathLike[str] | None = None,
    everywhere: bool = False,
    min_area: float | None = None,
    min_area_mm2: float | None = None,
    min_peak: float | None = None,
    merge_distance: float | None = None,
    pixel_pitch: float | None = None,
    images: Paths = (),
    show: Show = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Set the region of interest and which regions are defects; keep settings not given.

    ``roi`` and ``ignore``: as for :func:`draw_region`; together they replace the current region,
    and ``everywhere`` removes it. This changes maps and scores, so the calibration images are
    inspected again: those with the same digests in the training folder, or the good ones among
    ``images``, which go only with such a change. The drawings must have the shape of these images,
    at any scale. The filters are those of :class:`Filters`; ``min_area_mm2`` needs a pixel pitch.
    ``say`` gets a line on how much of the image is left, and notes such as which images were left
    out. Raises UsageError for invalid values, FlawmapError if a drawing cannot be read or
    calibration images are missing; the run is then unchanged.
    """
    folder = Path(run)
    with changing(folder) as manifest:
        asked = {"min_area": min_area, "min_peak": min_peak, "merge_distance": merge_distance,
                 "pixel_pitch": pixel_pitch}  # fmt: skip
        changed = manifest.model_copy(update={"filters": _filters(manifest, asked, min_area_mm2)})
        if everywhere and (roi is not None or ignore is not None):
            raise UsageError("--everywhere excludes --roi and --ignore: give one of them.")
        named, notes = as_paths(images), list[str]()
        if not everywhere and roi is None and ignore is None:
            if named:
                raise UsageError(
                    "--images goes with --roi, --ignore or --everywhere; thresholds from other "
                    "images: flawmap calibrate"
                )
            save_manifest(folder, changed)
            return changed
        if named:
            good = new_images(manifest, good_paths(named), False, notes)
        else:
            good = _calibrating(manifest)
        mask: Mask | None = None
        if not everywhere:
            size = manifest.preprocessing.size if manifest.preprocessing.fit == "squash" else None
            mask = draw_region(_path(roi), _path(ignore), size, sizes_of(good))
            say(f"The region of interest is {mask.mean():.1%} of the image.")
        changed = _with_region(mask, folder, changed, good, named, show, notes)
        for note in notes:
            say(f"Note: {note}")
        save_manifest(folder, changed)
        return changed


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)


def _filters(
    manifest: Manifest, asked: dict[str, float | None], min_area_mm2: float | None
) -> Filters:
    given = {name: value for name, value in asked.items() if value is not None}
    values = manifest.filters.model_dump() | given
    if min_area_mm2 is not None:
        if "min_area" in given or not values["pixel_pitch"]:
            raise UsageError(
                "A minimum area in mm2 needs --pixel-pitch, and excludes one in pixels."
            )
        values["min_area"] = min_area_mm2 / values["pixel_pitch"] ** 2
    try:
        return Filters.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{name} {first['input']}: {first['msg'].lower()}.") from error


def _with_region(
    mask: Mask | None,
    folder: Path,
    manifest: Manifest,
    good: Mapping[Path, str],
    images: Sequence[Path],
    show: Show,
    notes: list[str],
) -> Manifest:
    """Write the region's image; return the manifest with the region and its thresholds."""
    limits = manifest.calibration
    rates = Rates(limits.reject.asked, limits.review.asked)
    region = None if mask is None else Region.of(mask, manifest.configuration)
    places = places_of(images) if images else None
    fresh = Recalibrator(folder, manifest, good, rates, region, places=places, show=show)
    changed = fresh.run()
    notes += fresh.warnings
    sha256 = None
    if mask is not None:
        buffer = io.BytesIO()
        Image.fromarray(mask * 255).save(buffer, "PNG")
        sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_bytes(folder / region_file(sha256), buffer.getvalue())
    measured = manifest.metrics if sha256 == manifest.region else None  # the maps have changed
    return changed.model_copy(update={"region": sha256, "metrics": measured})


def _calibrating(manifest: Manifest) -> dict[Path, str]:
    """Locate the current calibration images by their digests."""
    if manifest.calibration.folds:
        raise FlawmapError(
            "The inspector was trained on all the images that calibrate it: name other good images "
            "with --images."
        )
    located = locate(manifest)
    if not located.complete:
        raise FlawmapError(
            f"{located.describe()}: name good images with --images, to calibrate with their scores "
            "within the region."
        )
    return located.good
