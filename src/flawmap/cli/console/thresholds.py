"""What ``calibrate`` and ``regions`` print: thresholds, their guarantee, region and filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flawmap.cli.console.streams import console, errors
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.calibration.result import Recalibration
    from flawmap.inspection.bundle.manifest import Manifest
    from flawmap.inspection.conformal import Calibration


def show_calibration(result: Recalibration) -> None:
    """Print the new thresholds and their guarantee."""
    limits = result.calibration
    console.print(limits.statement())
    console.print(describe_thresholds(limits))
    for path, score in result.highest_scoring:
        console.print(f"Among the highest-scoring: score {score:.4f}  {printable(path)}")
    if result.rejected is not None and result.noticed is not None:
        console.print(
            f"Known defects rejected: {result.rejected}; "
            f"rejected or sent to review: {result.noticed}"
        )
    for warning in result.warnings:
        errors.print(f"Note: {warning}")


def show_regions(manifest: Manifest) -> None:
    """Print the region, the filters and the guarantee of the thresholds."""
    console.print(describe_regions(manifest))
    console.print(manifest.calibration.statement())


def describe_thresholds(limits: Calibration) -> str:
    """Return the thresholds of the image score and of a pixel in one clause."""
    return (
        f"reject above {limits.reject.value:.4f}, review above {limits.review.value:.4f}, "
        f"pixel above {limits.pixel.value:.4f}"
    )


def describe_regions(manifest: Manifest) -> str:
    """Return in one line where the inspector detects defects, and which it ignores."""
    filters = manifest.filters
    pitch = filters.pixel_pitch
    area = f"{filters.min_area:g} pixels" + (
        f" ({filters.min_area * pitch**2:g} mm2)" if pitch else ""
    )
    limits = {
        f"smaller than {area}": filters.min_area,
        f"with a peak below {filters.min_peak:g}": filters.min_peak,
    }
    ignored = [words for words, value in limits.items() if value]
    line = f"inspects {'a region of interest' if manifest.region else 'the whole image'}"
    line += f"; ignores defects {' or '.join(ignored)}" if ignored else ""
    if filters.merge_distance:
        line += f"; merges defects within {filters.merge_distance:g} pixels"
    return line
