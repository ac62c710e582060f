"""Name the good images with outlying scores: a defective part among them spoils a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.calibration.leaving_out import apart
from flawmap.calibration.outliers import outliers
from flawmap.data.samples import plural
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.inspector import Inspector
from flawmap.utils.rng import Stream, generator

if TYPE_CHECKING:
    from flawmap.training.good_images.load import GoodImages

_SHOWN = 3
_TILES = 400  # tiles of training images to score; takes some seconds
_NAMED = 10  # outliers named at most


def describe_highest_scores(calibration: Calibration, names: Mapping[str, str]) -> str:
    """Name the highest-scoring held-out images in one line; ``names`` by SHA-256."""
    ranked = _ranked(calibration)
    if ranked[0][0] == ranked[-1][0]:
        return (
            f"All {len(ranked)} held-out good images have the same score: the thresholds are "
            "meaningless. Train longer, on more images, or at another --size."
        )
    listed = (f"{names.get(one, one[:12])} ({score:.4g})" for score, one in ranked[:_SHOWN])
    return f"Highest scores among the held-out good images: {', '.join(listed)}"


def warn_of_outliers(calibration: Calibration, names: Mapping[str, str], run: Path) -> str | None:
    """Return a warning if scores of held-out images are outliers, else None."""
    outlying = apart(calibration)
    if not outlying:
        return None
    ranked = _ranked(calibration)
    rest = max(score for score, one in ranked if one not in outlying)
    lowest = min(score for score, one in ranked if one in outlying)
    verb, which = ("is an outlier", "it") if len(outlying) == 1 else ("are outliers", "them")
    return (
        f"{plural(len(outlying), 'good image(s)')} {verb}, with a score of {lowest:.4g} or more "
        f"against {rest:.4g} or less: {_listed(outlying, names)}. Check {which}: a defective part "
        "spoils the thresholds. Move it out and train again into another --out, or set the "
        f"thresholds without {which}: flawmap calibrate {run} --leave-out-outliers"
    )


def _ranked(calibration: Calibration) -> list[tuple[float, str]]:
    """Return score and SHA-256 of each image, highest score first."""
    pairs = zip(calibration.scores, calibration.images, strict=True)
    return sorted(pairs, key=lambda one: -one[0])


def warn_of_training_outliers(images: GoodImages, inspector: Inspector, seed: int) -> str | None:
    """Return a warning if scores of training images are outliers, else None.

    Such images are usually defective, as training on an image lowers its score.
    """
    rows = _sample_training_images(images, seed)
    scores = [inspector.inspect(images.loaded.paths[row]).raw_score for row in rows]
    outlying = [images.loaded.sha256[rows[index]] for index in outliers(scores)]
    if not outlying:
        return None
    verb, which = ("is an outlier", "it") if len(outlying) == 1 else ("are outliers", "them")
    return (
        f"{len(outlying)} of {len(rows)} training images {verb}: "
        f"{_listed(outlying, images.names)}. Check {which}: if defective, move {which} "
        "out and train again into another --out."
    )


def _sample_training_images(images: GoodImages, seed: int) -> list[int]:
    """Pick training images by the seed, as many as make up the number of tiles to score."""
    tiles_per_image = max(1, len(images.train_rows) // len(images.train))
    order = generator(seed, Stream.OUTLIERS).permutation(images.train)
    return sorted(order[: max(1, _TILES // tiles_per_image)].tolist())


def describe_left_out(left_out: tuple[str, ...], names: Mapping[str, str]) -> str:
    """Report in one line the images left out of the thresholds."""
    if not left_out:
        return "No score is an outlier: no image was left out of the thresholds."
    return (
        f"{plural(len(left_out), 'good image(s)')} with outlying scores left out of the "
        f"thresholds: {_listed(left_out, names)}. Similar images may be rejected, even if good."
    )


def _listed(images: Sequence[str], names: Mapping[str, str]) -> str:
    shown = ", ".join(names.get(one, one[:12]) for one in images[:_NAMED])
    return shown + (", ..." if len(images) > _NAMED else "")
