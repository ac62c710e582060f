"""Cross-conformal calibration: every good image is scored by a twin that did not learn from it.

Vovk, "Cross-conformal predictors" (2015). There all twins go on to judge; here the inspector is one
training on all images, for its speed, and what is promised is an expectation.
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
    """Train the twins below ``folder`` and pool what each says of its own images.

    Twins that are complete already are taken as they are.
    """
    found = []
    for fold in range(folds):
        say(f"Twin {fold + 1} of {folds}")
        twin = train(folder / FOLDS / str(fold), Part(folds, fold))
        found.append(twin.manifest.calibration)
    say("The inspector itself, on all images")
    return Calibration.from_scores(
        [score for one in found for score in one.scores],
        [peak for one in found for peak in one.peaks],
        images=[sha256 for one in found for sha256 in one.images],
        folds=folds,
    )
