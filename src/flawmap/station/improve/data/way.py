"""How a product's inspector gets better: the one in force is refined, or another trained anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from flawmap.calibration.images import digest_or_none
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.sources import walk_images
from flawmap.station.improve.data.plan import Plan
from flawmap.station.improve.training import Options

_NAMED_BY_DIGEST = re.compile(r"[0-9a-f]{16}-([0-9a-f]{64})")


@dataclass(frozen=True)
class Way:
    """`refine` or `train`, and why, as a sentence."""

    kind: Literal["refine", "train"]
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as the data set's manifest has it."""
        return asdict(self)


def choose_way(plan: Plan, options: Options, *, look: bool = False) -> Way:
    """Decide how to learn from a plan. With `look`, the images of the run in force are looked for.

    Without it only their folder is: a page must not read thousands of images.
    """
    if plan.run is None:
        return Way("train", "It is the product's first inspector.")
    if (why := _against(plan, options)) is None:
        run = plan.known.run
        assert run is not None
        why = _missing(run, look)
    if why is None:
        return Way(
            "refine", "Only what is new has to be learned: one to two minutes on two free cores."
        )
    return Way("train", why)


def method_of(plan: Plan, options: Options) -> str:
    """Return the method of a training: the one asked for, else that of the run in force."""
    return options.method or (plan.known.run.method if plan.known.run else "destseg")


def has_head(method: str, configuration: dict[str, Any]) -> bool:
    """Whether a method has a head, which learns from known defects."""
    if method == "destseg":
        return bool(configuration.get("head", "") != "none")
    return method == "adps" and bool(configuration.get("segmentation", True))


def _against(plan: Plan, options: Options) -> str | None:
    """Return why the run in force cannot be refined, but for its images."""
    run = plan.known.run
    if options.anew:
        return "You asked for it."
    if run is None:
        return "The run of the model in force cannot be read."
    if options.method is not None and options.method != run.method:
        return f"You asked for {options.method}; the model in force is of {run.method}."
    if options.steps or options.size or options.rotate != "auto" or options.folds:
        return "You gave options that only a new training has."
    if not has_head(run.method, run.configuration):
        return f"The model in force, of {run.method}, has no head that could learn defects."
    if run.calibration.folds:
        return "The model in force was calibrated by folds: it was trained on all of its images."
    if not run.calibration.images:
        return "The model in force does not record which images calibrate it."
    if not (plan.defective or plan.flagged_good or plan.new_given):
        return (
            "There is nothing to refine with: no defective part, no good part that was flagged, "
            "and no new image."
        )
    return None


def _missing(run: Manifest, look: bool) -> str | None:
    """Return a sentence if the images of a run are gone: those trained on or calibrating."""
    folder = Path(run.training.folder)
    if not folder.is_dir():
        return f"The images of the model in force are no longer in {folder}."
    if not look:
        return None
    wanted = {*run.training.trained_on, *run.calibration.images}
    for path in _images(run):
        if not wanted:
            break
        name = _NAMED_BY_DIGEST.fullmatch(path.stem)
        wanted.discard((name[1] if name else digest_or_none(path)) or "")
    if wanted:
        return f"{len(wanted)} images of the model in force are no longer in {folder}."
    return None


def _images(run: Manifest) -> Iterator[Path]:
    """Yield the images in all places where those of a run lay."""
    added = (one.good for one in run.training.history if one.good is not None)
    places = (run.training.folder, *run.calibration.places, *added)
    for place in dict.fromkeys(places):
        if Path(place).is_dir():
            yield from walk_images(Path(place), None, lenient=True)
