"""Find the good images least like the others: a defective part among them spoils a run."""

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
_WINDOWS = 400  # tiles of training images to score; takes some seconds
_NAMED = 10  # outliers named at most


def tell_oddest(calibration: Calibration, names: Mapping[str, str]) -> str:
    """Name the highest-scoring held-out images in one line; ``names`` by SHA-256."""
    ranked = _ranked(calibration)
    if ranked[0][0] == ranked[-1][0]:
        return (
            f"All {len(ranked)} good images held out have the same score: the thresholds tell "
            "nothing. Train longer, on more images, or at another --size."
        )
    listed = (f"{names.get(one, one[:12])} ({score:.4g})" for score, one in ranked[:_SHOWN])
    return f"Highest scores among the good images held out: {', '.join(listed)}"


def warn_of_outliers(calibration: Calibration, names: Mapping[str, str], run: Path) -> str | None:
    """Return a warning if scores of held-out images are outliers, else None."""
    odd = apart(calibration)
    if not odd:
        return None
    ranked = _ranked(calibration)
    rest = max(score for score, one in ranked if one not in odd)
    lowest = min(score for score, one in ranked if one in odd)
    verb, which = ("stands", "it") if len(odd) == 1 else ("stand", "them")
    return (
        f"{plural(len(odd), 'good image(s)')} {verb} apart, at a score of {lowest:.4g} or more "
        f"beside {rest:.4g} or less: {_listed(odd, names)}. Look at {which}. A flawed part among "
        "the good ones spoils the thresholds: move it out and train again into another --out, or "
        f"set them without {which}: flawmap calibrate {run} --leave-out-outliers"
    )


def _ranked(calibration: Calibration) -> list[tuple[float, str]]:
    """Return score and SHA-256 of each image, highest score first."""
    pairs = zip(calibration.scores, calibration.images, strict=True)
    return sorted(pairs, key=lambda one: -one[0])


def warn_of_learned(images: GoodImages, inspector: Inspector, seed: int) -> str | None:
    """Return a warning if scores of training images are outliers, else None.

    Such images are usually defective, as training on an image lowers its score.
    """
    rows = _some(images, seed)
    scores = [inspector.inspect(images.loaded.paths[row]).raw_score for row in rows]
    odd = [images.loaded.sha256[rows[index]] for index in outliers(scores)]
    if not odd:
        return None
    verb, which = ("stands", "it") if len(odd) == 1 else ("stand", "them")
    return (
        f"Of {len(rows)} good images learned from, {len(odd)} {verb} apart: "
        f"{_listed(odd, images.names)}. Look at {which}: if flawed, move {which} out and train "
        "again into another --out."
    )


def _some(images: GoodImages, seed: int) -> list[int]:
    """Pick training images by the seed, as many as make up the number of tiles to score."""
    of_each = max(1, len(images.train_rows) // len(images.train))
    order = generator(seed, Stream.SUSPECTS).permutation(images.train)
    return sorted(order[: max(1, _WINDOWS // of_each)].tolist())


def tell_left_out(gone: tuple[str, ...], names: Mapping[str, str]) -> str:
    """Report in one line the images left out of the thresholds."""
    if not gone:
        return "No score stands apart: no image was left out of the thresholds."
    return (
        f"{plural(len(gone), 'good image(s)')} left out of the thresholds, as the score stands "
        f"apart: {_listed(gone, names)}. What looks like that may be rejected, good or not."
    )


def _listed(images: Sequence[str], names: Mapping[str, str]) -> str:
    shown = ", ".join(names.get(one, one[:12]) for one in images[:_NAMED])
    return shown + (", ..." if len(images) > _NAMED else "")
