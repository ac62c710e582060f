"""Exclusion of held-out images whose scores are outliers: on request, reported and recorded."""

from __future__ import annotations

from collections.abc import Collection

from flawmap.calibration.outliers import outliers
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.conformal import Calibration


def apart(calibration: Calibration) -> tuple[str, ...]:
    """Return SHA-256 of images with outlier scores, highest first; FlawmapError if unknown."""
    indices = outliers(calibration.scores)
    if indices and not calibration.images:
        raise FlawmapError(
            "The run does not record which images set its thresholds, so none can be left out: "
            "name good images to calibrate with."
        )
    return tuple(calibration.images[index] for index in indices)


def without(calibration: Calibration, images: Collection[str]) -> Calibration:
    """Recompute thresholds for the same rates without these images (SHA-256), and record them."""
    kept = [i for i, one in enumerate(calibration.images) if one not in images]
    gone = [one for one in calibration.images if one in images]
    if not gone:
        return calibration
    return Calibration.from_scores(
        [calibration.scores[i] for i in kept],
        [calibration.peaks[i] for i in kept],
        false_reject=calibration.reject.asked,
        review=calibration.review.asked,
        images=[calibration.images[i] for i in kept],
        folds=calibration.folds,
        places=calibration.places,
        left_out=(*calibration.left_out, *gone),
        reused=calibration.reused,
    )


def without_outliers(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest and its exports without outliers, and their SHA-256."""
    gone = apart(manifest.calibration)
    exports = {
        name: export
        if export.calibration is None
        else export.model_copy(update={"calibration": without(export.calibration, gone)})
        for name, export in manifest.exports.items()
    }
    calibration = without(manifest.calibration, gone)
    return manifest.model_copy(update={"calibration": calibration, "exports": exports}), gone
