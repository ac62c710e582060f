"""``flawmap calibrate``: thresholds from other good images or for other rates, no training."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from flawmap.calibration.images import digest_or_none, locate, places_of
from flawmap.calibration.leaving_out import without_outliers
from flawmap.calibration.outliers import outliers
from flawmap.calibration.parts import one_of_each_part
from flawmap.calibration.recalibrate import Rates, Recalibrator, Scored, Show, from_stored
from flawmap.calibration.result import Recalibration, Recall
from flawmap.data.layouts import DatasetError, open_dataset
from flawmap.data.layouts.registry import says_labels
from flawmap.data.listing.images import Paths, as_paths, is_folder
from flawmap.data.samples import plural
from flawmap.data.targets import check_target
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import Manifest, changing
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.decision import load_region, record_of
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.sources import list_images
from flawmap.utils.files import make_folder, write_json

_LOG = logging.getLogger("flawmap")
_SHOWN = 3


def calibrate(
    run: str | os.PathLike[str],
    images: Paths | None = None,
    *,
    false_reject: float | None = None,
    review: float | None = None,
    add: bool = False,
    defects: Paths | None = None,
    leave_out_outliers: bool = False,
    json_file: str | os.PathLike[str] | None = None,
    show: Show = lambda done, total: None,
) -> Recalibration:
    """Recompute the thresholds of the inspector and its INT8 exports, without training.

    ``images``: good images, or folders of them, that replace the calibration images or, with
    ``add``, extend them. Images trained on and duplicate files are skipped. The manifest records
    their location, so that exports can find them again. Without ``images`` the stored scores are
    used. ``false_reject`` and ``review``: shares of good parts that may be rejected, and rejected
    or sent to review; unchanged if not given. ``defects``: known defective images, used only to
    measure recall. ``leave_out_outliers``: ignore images whose scores stand apart; they are
    reported, and the guarantee mentions them. Raises FlawmapError if no good image is left, the
    manifest has no room for them all or the stored scores cannot be added to, UsageError for
    invalid rates.
    """
    named = None if images is None else _some(images, "images")
    known = None if defects is None else _some(defects, "defects")
    if add and named is None:
        raise UsageError("There is nothing to add: name good images, or leave --add out.")
    check_target(json_file, "statement")
    folder = Path(run)
    with changing(folder) as manifest:
        rates = _rates(manifest.calibration, false_reject, review)
        warnings: list[str] = []
        highest: list[Scored] = []
        if named is not None:
            if add:
                _check_addable(manifest, folder)
            good = new_images(manifest, good_paths(named), add, warnings)
            region, places = load_region(folder, manifest), places_of(named)
            fresh = Recalibrator(folder, manifest, good, rates, region, add, places, show)
            changed = fresh.run()
            warnings += fresh.warnings
            if not leave_out_outliers:
                warnings += _apart(changed.calibration, fresh.scored)
            highest = sorted(fresh.scored, key=lambda one: -one.score)[:_SHOWN]
        else:
            changed, good = from_stored(manifest, rates), {}
        if leave_out_outliers:
            changed, gone = without_outliers(changed)
            warnings.append(_left_out(gone, good, manifest))
        result = Recalibration(
            changed.calibration,
            highest_scoring=tuple((one.path, one.score) for one in highest),
            warnings=tuple(warnings),
            **(_recalls(folder, changed, known) if known else {}),
        )
        save_manifest(folder, changed)
        if json_file is not None:
            make_folder(Path(json_file).parent)
            write_json(Path(json_file), result.to_dict())
        return result


def _some(given: Paths, what: str) -> list[Path]:
    """Return at least one path: a pattern without matches must not count as not given."""
    paths = as_paths(given)
    if not paths:
        raise UsageError(f"The list of {what} is empty: name some, or leave it out.")
    return paths


def _check_addable(manifest: Manifest, run: Path) -> None:
    """Refuse to add to scores from folds or from images that are not recorded."""
    if manifest.calibration.folds:
        raise FlawmapError(
            "The thresholds come from folds, whose scores and new ones are not comparable. Leave "
            f"--add out: flawmap calibrate {run} GOOD_IMAGES"
        )
    for name, one in calibrations(manifest).items():
        if not one.images:
            raise FlawmapError(
                f"The images that calibrate {name or 'the run'} are not recorded, so --add could "
                f"count one twice. Leave --add out{', or export again' if name else ''}."
            )


def _apart(calibration: Calibration, scored: Sequence[Scored]) -> list[str]:
    """Return a warning about good images whose scores stand apart; empty if there are none."""
    apart = outliers(calibration.scores)
    if not apart:
        return []
    first_new = len(calibration.scores) - len(scored)
    named = [str(scored[index - first_new].path) for index in apart if index >= first_new]
    rest = max(s for i, s in enumerate(calibration.scores) if i not in apart)
    lowest = min(calibration.scores[index] for index in apart)
    which = f": {', '.join(named[:3])}{', ...' if len(named) > 3 else ''}" if named else ""
    return [
        f"{plural(len(apart), 'good image(s)')} scored {lowest:.4g} or more, far above all others "
        f"({rest:.4g} or less){which}. A flawed part among the good ones spoils the thresholds: "
        "check these images, and calibrate without the flawed ones, such as with "
        "--leave-out-outliers."
    ]


def _left_out(gone: Sequence[str], good: Mapping[Path, str], manifest: Manifest) -> str:
    """Report the images left out because their scores stand apart, by name where known."""
    if not gone:
        return "No score is an outlier: nothing was left out."
    paths = {sha256: path for path, sha256 in good.items()}
    if not paths.keys() >= set(gone):
        paths |= locate(manifest).paths
    names = ", ".join(str(paths.get(one, f"SHA-256 {one[:12]}")) for one in gone)
    return (
        f"{plural(len(gone), 'good image(s)')} left out as outliers: {names}. Good parts "
        "like these may be rejected."
    )


def _rates(before: Calibration, false_reject: float | None, review: float | None) -> Rates:
    reject = before.reject.asked if false_reject is None else false_reject
    if review is not None and review < reject:
        raise UsageError(
            f"--review {review:g} is below the false-reject rate, which it includes: give at least "
            f"{reject:g}."
        )
    return Rates(reject, max(reject, before.review.asked if review is None else review))


def good_paths(images: Paths) -> list[Path]:
    """List the given images and those in folders; only good ones if subfolders are labelled."""
    paths: list[Path] = []
    for given in as_paths(images):
        if is_folder(given) and says_labels(given):
            dataset = open_dataset(given, training=False)
            for line in dataset.left_out:
                _LOG.warning("%s", line)
            good = (sample.path for sample in (*dataset.train, *dataset.good_test))
            paths += dict.fromkeys(good)
        else:
            paths += [target.path for target in list_images([given])]
    return paths


def defect_paths(images: Paths) -> list[Path]:
    """List the given images and those in folders; only defective ones if folders are labelled."""
    paths: list[Path] = []
    for given in as_paths(images):
        if not is_folder(given) or not says_labels(given):
            paths += [target.path for target in list_images([given])]
            continue
        dataset = open_dataset(given, training=False)
        for line in dataset.left_out:
            _LOG.warning("%s", line)
        if not dataset.defective_test:
            raise DatasetError(
                f"{given} holds no defective images by its folder names: give a folder that does."
            )
        if good := {sample.path for sample in (*dataset.train, *dataset.good_test)}:
            _LOG.warning(
                "%s in %s left out: they are not defective.",
                plural(len(good), "good image(s)"),
                given,
            )
        paths += [sample.path for sample in dataset.defective_test]
    return paths


def new_images(
    manifest: Manifest, paths: Sequence[Path], add: bool, warnings: list[str]
) -> dict[Path, str]:
    """Return images and their digests, without those trained on and without duplicates.

    Of each part, as identified by the run's ``--group``, only the first image is used: the
    guarantee is about parts.
    """
    trained = manifest.spent
    known = [set(one.images) for one in calibrations(manifest).values()]
    taken = set.intersection(*known) if add else set()
    new: dict[Path, str] = {}
    unreadable: list[Path] = []
    learned = again = 0
    for path in paths:
        sha256 = digest_or_none(path)
        if sha256 is None:
            unreadable.append(path)
            continue
        learned += sha256 in trained
        again += sha256 in taken
        if sha256 not in trained | taken:
            new[path] = sha256
            taken.add(sha256)
    if unreadable:
        warnings.append(
            f"{plural(len(unreadable), 'image(s)')} left out as unreadable, such as "
            f"{unreadable[0]}."
        )
    out = {*manifest.calibration.left_out} & {*new.values()} if add else set()
    if out:
        new = {path: one for path, one in new.items() if one not in out}
        warnings.append(f"{plural(len(out), 'image(s)')} left out again as outliers.")
    if learned:
        why = "the inspector was trained on them"
        if manifest.training.set_aside:
            why += " or on other shots of the same parts"
        warnings.append(f"{plural(learned, 'image(s)')} left out: {why}.")
    if again:
        warnings.append(f"{plural(again, 'image(s)')} left out: the same as another.")
    if not new:
        gone = {"were trained on": learned, "already set thresholds": again}
        gone |= {"cannot be read": len(unreadable), "are outliers": len(out)}
        counts = ", ".join(f"{count} {why}" for why, count in gone.items() if count)
        raise FlawmapError(f"No good image is left ({counts}): give images of other parts.")
    return one_of_each_part(manifest, new, add, warnings)


def calibrations(manifest: Manifest) -> dict[str, Calibration]:
    """Return the run's calibration under the empty name, and those of exports that have one."""
    exports = {name: one.calibration for name, one in manifest.exports.items()}
    return {"": manifest.calibration} | {k: one for k, one in exports.items() if one is not None}


def _recalls(folder: Path, manifest: Manifest, defects: Paths) -> dict[str, Recall]:
    """Measure the recall on known defects with the new thresholds."""
    inspector = Inspector.open(folder, manifest, load_region(folder, manifest))
    paths = defect_paths(defects)
    records = [record_of(one) for one in inspect_files(inspector, paths)]
    verdicts = [one.verdict for one in records if not one.failed]
    if not verdicts:
        raise FlawmapError(f"No defective image could be inspected. {records[0].error}")
    return {
        "rejected": Recall.of(verdicts.count("reject"), len(verdicts)),
        "noticed": Recall.of(len(verdicts) - verdicts.count("good"), len(verdicts)),
    }
