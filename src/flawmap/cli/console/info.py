"""What ``info`` prints: a table that describes an inspector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flawmap.cli.console.exports import describe_export
from flawmap.cli.console.tables import print_table
from flawmap.cli.console.thresholds import describe_regions, describe_thresholds
from flawmap.data.samples import plural
from flawmap.utils.printable import printable

if TYPE_CHECKING:
    from flawmap.data.resize import Framing
    from flawmap.inspection.bundle.manifest import LearnedDefects, Manifest, Refinement, Training

_SHOWN = ("image_auroc", "pixel_ap", "iap")  # metrics of the last evaluation


def show_info(manifest: Manifest) -> None:
    """Print a short table that describes an inspector."""
    rows = _training_rows(manifest) | _decision_rows(manifest) | _parity_rows(manifest)
    rows |= _export_rows(manifest)
    if manifest.metrics:
        rows["evaluated on"] = _metrics(manifest.metrics)
    print_table(list(rows.items()), wrap=True)


def _training_rows(manifest: Manifest) -> dict[str, str]:
    training = manifest.training
    taught = {"known defects": _learned(training.defects)} if training.defects else {}
    if training.history:
        taught["refined from"] = ", then ".join(map(_refined, training.history))
    return {
        "method": f"{manifest.method} ({manifest.preset})",
        "teacher": manifest.teacher.name,
        "its weights": f"licence: {manifest.teacher.licence}",
        "trained on": _images(training),
        **taught,
        "rotation": f"{training.rotation}: {training.rotation_reason}",
        "textures": training.textures,
        "memory": _memory(manifest),
        "training": f"{training.steps} steps in {training.seconds.get('train', 0):.0f} s on "
        f"{training.device} ({training.precision}), seed {training.seed}",
        "working size": _size(manifest.preprocessing.framing),
        "white level": _white_level(manifest.preprocessing.white_level),
    }


def _decision_rows(manifest: Manifest) -> dict[str, str]:
    return {
        "thresholds": describe_thresholds(manifest.calibration),
        "calibrated on": _calibration(manifest),
        "JPEG decoder": "not known" if manifest.decoder is None else manifest.decoder.jpeg,
        "guarantee": manifest.calibration.statement(),
        "regions": describe_regions(manifest),
    }


def _parity_rows(manifest: Manifest) -> dict[str, str]:
    measured = {"parity": manifest.parity} | {
        f"parity on {name}": there for name, there in manifest.devices.items()
    }
    return {
        name: f"differs from the trained network by at most {one.map:.1e} (map) and "
        f"{one.score:.1e} (score) on {one.images} images"
        for name, one in measured.items()
    }


def _learned(defects: LearnedDefects) -> str:
    types = ", ".join(f"{count} {printable(name)}" for name, count in defects.types.items())
    bare = f", {defects.without_mask} without mask" if defects.without_mask else ""
    return f"{types}{bare}, from {', '.join(map(printable, defects.folders))}"


def _refined(step: Refinement) -> str:
    words = [f"{plural(len(step.added), 'good image(s)')} of {step.good}"] if step.added else []
    words += [f"defects of {step.defects}"] if step.defects else []
    return f"run {step.parent} with {printable(' and '.join(words))}"


def _export_rows(manifest: Manifest) -> dict[str, str]:
    rows = {}
    for name, export in manifest.exports.items():
        rows[f"export {name}"] = f"when exported: {describe_export(export)}"
        if export.calibration is not None:
            rows[f"{name} thresholds"] = describe_thresholds(export.calibration)
            rows[f"{name} guarantee"] = export.calibration.statement()
    return rows


def _metrics(metrics: Mapping[str, Any]) -> str:
    known = {key: metrics.get(key) for key in _SHOWN}
    shown = [f"{key} {value:.4f}" for key, value in known.items() if isinstance(value, float)]
    return f"{metrics.get('data')}: {', '.join(shown) or 'no metric is defined there'}"


def _memory(manifest: Manifest) -> str:
    memory = manifest.configuration.get("memory")
    kind = "none" if memory is None else memory["kind"]
    return "none" if kind == "none" else f"of good images, {kind}"


def _white_level(white: int | None) -> str:
    if white is None:
        return "255; training images have 8 bits"
    return f"{white:,} in images of 16 bits ({white.bit_length()} bits)"


def _size(framing: Framing) -> str:
    height, width = framing.size
    how = {
        "squash": "",
        "letterbox": ", letterboxed",
        "tiles": f", in tiles that overlap by {framing.overlap} pixels",
    }
    return f"{height} x {width} pixels{how[framing.fit]}"


def _images(training: Training) -> str:
    words = [f"{training.held_out} held out"]
    if training.set_aside:
        words.append(f"{len(training.set_aside)} more images of those parts set aside")
    words.append(f"{training.skipped} unreadable")
    if training.useless:
        words.append(f"{training.useless} of a few pixels or one colour left out")
    if training.copies:
        words.append(f"{plural(training.copies, 'duplicate(s)')} left out")
    line = f"{training.images} good images of {printable(training.data)}; {', '.join(words)}"
    if training.group is not None:
        count = "" if training.groups is None else f"{training.groups} "
        line += f"; {count}parts, identified by --group {training.group}"
    return line


def _calibration(manifest: Manifest) -> str:
    limits = manifest.calibration
    line = plural(len(limits.scores), "good image(s)")
    line += (
        f" of {', '.join(map(printable, limits.places))}"
        if limits.places
        else " of the training folder"
    )
    if limits.folds:
        line += f", each scored by one of {limits.folds} fold models"
    if limits.left_out:
        line += f"; {len(limits.left_out)} left out, as their scores are outliers"
    return line
