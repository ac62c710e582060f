"""Cross-conformal calibration: each good image is scored by a fold model not trained on it.

Vovk, "Cross-conformal predictors" (2015). There, all fold models are used for prediction; here, for
speed, the inspector is one model trained on all images, and its guarantee holds in expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flawmap.inspection.conformal import Calibration
from flawmap.inspection.inspector import Inspector
from flawmap.training.good_images.split import Part
from flawmap.training.output_folder import FOLDS

Train = Callable[[Path, Part], Inspector]


def calibrate_in_folds(
    folds: int, folder: Path, train: Train, say: Callable[[str], None]
) -> Calibration:
    """Train the fold models below ``folder`` and pool the scores of their held-out images.

    Fold models that are already complete are reused.
    """
    calibrations = []
    for fold in range(folds):
        say(f"Training fold model {fold + 1} of {folds}")
        model = train(folder / FOLDS / str(fold), Part(folds, fold))
        calibrations.append(model.manifest.calibration)
    say("Training the inspector on all images")
    return Calibration.from_scores(
        [score for calibration in calibrations for score in calibration.scores],
        [peak for calibration in calibrations for peak in calibration.peaks],
        images=[sha256 for calibration in calibrations for sha256 in calibration.images],
        folds=folds,
    )
