"""Test images that a run has already used, for training or for setting its thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flawmap.calibration.images import digest_or_none
from flawmap.calibration.parts import shots_of
from flawmap.data.layouts import Dataset, Sample
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest

_WAY_OUT = "Put good images that served neither training nor calibration into test/good"


@dataclass(frozen=True)
class EvaluationImages:
    """Samples to measure on, and warnings about them.

    ``calibrated``: images that set the thresholds, identified by file content, and, if training
    used groups, other images of the same parts. They count for the metrics, which use no
    threshold, but for no rate of verdicts: by construction at most k - 1 of n of them score above
    the k-th largest.
    """

    samples: tuple[Sample, ...]
    calibrated: frozenset[Path]
    warnings: tuple[str, ...]


def evaluation_images(dataset: Dataset, manifest: Manifest) -> EvaluationImages:
    """Test samples of a dataset without the good images that were trained on.

    ``manifest``: the inspector's, with the calibration of the precision in use. Raises
    FlawmapError if nothing is left to test on.
    """
    trained = frozenset(manifest.training.trained_on)
    learned = frozenset(manifest.training.defects.files if manifest.training.defects else ())
    limits = manifest.calibration
    # rates on other shots of these parts, or on images left out by their scores, mean little
    calibrating = frozenset((*limits.images, *manifest.training.set_aside, *limits.left_out))
    known = [(sample, digest_or_none(sample.path)) for sample in dataset.test]
    fresh = [(s, sha256) for s, sha256 in known if s.label == "good" or sha256 not in learned]
    kept = [(s, sha256) for s, sha256 in fresh if s.label == "defective" or sha256 not in trained]
    if not kept:
        raise FlawmapError(
            f"Nothing to test on in {dataset.root}: add defective images, or good images that "
            "were not trained on."
        )
    samples = tuple(sample for sample, _ in kept)
    calibrated = _of_calibrating_parts(kept, calibrating, manifest.training.group)
    good = trained | calibrating | {one for s, one in kept if s.label == "good" and one}
    copies = [s for s, one in kept if s.label == "defective" and one in good]
    left_out = len(fresh) - len(kept)
    way_out = _way_out(dataset, folds=bool(manifest.calibration.folds))
    warnings = [
        *dataset.notes,
        *_about_learned(len(known) - len(fresh)),
        *_about_good(kept, limits.images, calibrated, left_out, way_out),
        *_about_defective(copies),
    ]
    return EvaluationImages(samples, calibrated, tuple(warnings))


def _of_calibrating_parts(
    kept: Sequence[tuple[Sample, str | None]], calibrating: frozenset[str], rule: str | None
) -> frozenset[Path]:
    """Paths of the calibration images and of good images that show the same parts."""
    good = [(sample.path, sha256 in calibrating) for sample, sha256 in kept if _is_good(sample)]
    paths, chosen = [path for path, _ in good], [one for _, one in good]
    same = {path for path, one in zip(paths, shots_of(paths, chosen, rule), strict=True) if one}
    return frozenset(same | {s.path for s, sha256 in kept if sha256 in calibrating})


def _is_good(sample: Sample) -> bool:
    return sample.label == "good"


def _about_good(
    kept: Sequence[tuple[Sample, str | None]],
    images: Sequence[str],
    calibrated: frozenset[Path],
    trained: int,
    way_out: str,
) -> list[str]:
    good = [(sample, sha256) for sample, sha256 in kept if sample.label == "good"]
    set_thresholds = sum(sha256 in {*images} for _, sha256 in good)
    beside = sum(sample.path in calibrated for sample, _ in good) - set_thresholds
    warnings = []
    if trained:
        verb = "was trained on and is" if trained == 1 else "were trained on and are"
        warnings.append(f"{plural(trained, 'good image(s)')} {verb} left out.")
    if set_thresholds or beside:
        which = [f"{plural(set_thresholds, 'good image(s)')} set the thresholds"]
        if beside:
            one = beside == 1
            verb = (
                "shows a part of which another shot" if one else "show parts of which other shots"
            )
            which.append(
                f"{plural(beside, 'good image(s)')} {verb} calibrated, or "
                f"{'was' if one else 'were'} left out of the thresholds"
            )
        warnings.append(
            f"{', '.join(which if set_thresholds else which[1:])}: counted for the metrics, not "
            "for the rates of verdicts."
        )
    if warnings and len(good) == set_thresholds + beside:
        warnings[-1] = f"{warnings[-1].removesuffix('.')}; no false-reject rate is given. {way_out}"
    return warnings


def _way_out(dataset: Dataset, *, folds: bool) -> str:
    """Advice on getting a false-reject rate; in a plain folder, good/ serves training and tests."""
    advice = _WAY_OUT
    if dataset.layout == "folder":
        advice += " of another folder, defective ones into test/defective"
    return advice + ("." if folds else ", or train with --folds.")


def _about_learned(count: int) -> list[str]:
    if not count:
        return []
    verb = "was learned from and is" if count == 1 else "were learned from and are"
    return [f"{plural(count, 'defective image(s)')} {verb} left out."]


def _about_defective(copies: Sequence[Sample]) -> list[str]:
    if not copies:
        return []
    named = ", ".join(str(sample.path) for sample in copies[:3])
    more = ", ..." if len(copies) > 3 else ""
    return [
        f"{plural(len(copies), 'defective image(s)')} with the same content as a good image "
        f"({named}{more}): one of the two labels is wrong."
    ]
