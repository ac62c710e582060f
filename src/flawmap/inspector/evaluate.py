"""``flawmap evaluate``: every figure of an inspector on a labelled data set."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

from flawmap.backends.base import RuntimeOptions
from flawmap.datasets import Dataset, Sample, open_dataset
from flawmap.datasets.base import plural
from flawmap.datasets.kinds import mask_files
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import make_folder, write_json
from flawmap.images import ImageError
from flawmap.inspector.distances import load_distances
from flawmap.inspector.inspector import Inspection, Inspector
from flawmap.inspector.manifest import changing
from flawmap.inspector.mask_notes import MaskNotes
from flawmap.inspector.pipeline import Inspected, inspect_files
from flawmap.inspector.saving import save_manifest
from flawmap.inspector.seen_before import EvaluationImages, evaluation_images
from flawmap.masks import read_mask
from flawmap.metrics import Evaluator, Figures
from flawmap.report.data import ImageRow
from flawmap.targets import REPORT, check_target

_KEYS = (
    "image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max",
    "pro", "iap", "iap90", "images", "instances",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """Figures (the keys of ``evaluate --json``), one row an image, and what to know about both.

    There are no rows where ``distances`` were read out, which have no thresholds.
    """

    dataset: Dataset
    samples: tuple[Sample, ...]
    figures: Figures
    rows: tuple[ImageRow, ...]
    seconds: float
    warnings: tuple[str, ...]
    milliseconds: float | None = None
    """Median time of an image, from decoding to verdict."""
    distances: tuple[int, ...] = ()
    calibrated: int = 0
    """Images that set the thresholds: metrics include them, rates of verdicts must not."""
    mask_notes: tuple[str, ...] = ()
    """Those of the warnings that are about masks; ``evaluate --json`` holds all, in two notes."""

    def to_dict(self) -> dict[str, Any]:
        """The object that ``evaluate --json`` writes."""
        found = self.figures.to_dict()
        notes = {str(k): str(v) for k, v in found["notes"].items()}
        if self.distances:
            notes["read_out"] = f"product of the distances at levels {_told(self.distances)}"
        if self.calibrated:
            notes["calibration_images"] = (
                f"image-level metrics include {plural(self.calibrated, 'image(s)')} that set the "
                "thresholds; rates of verdicts leave them out"
            )
        if others := [line for line in self.warnings if line not in self.mask_notes]:
            notes["images"] = " ".join(others)
        if self.mask_notes:
            notes["masks"] = " ".join(self.mask_notes)
        figures = {key: found[key] for key in _KEYS}
        return figures | {"seconds": round(self.seconds, 3), "notes": notes}


def evaluate(
    run: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    layout: str = "auto",
    json_file: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    distances: Sequence[int] = (),
    show: Callable[[int, int], None] = lambda done, total: None,
    **runtime: Unpack[RuntimeOptions],
) -> Evaluation:
    """Run the inspector in ``run`` over the test images of ``data`` and measure it.

    Good images that it was trained on are left out. Those that set its thresholds count for the
    metrics and not for rates of verdicts: their rows are marked ``calibrated``.

    ``json_file`` and ``report`` name files to write. ``distances`` names levels, 1 the finest, the
    product of whose distances is measured in place of the inspector's map: (1, 2, 3) is DeSTSeg's
    "DeST"; they come from ONNX Runtime. ``runtime``: as for :meth:`Inspector.load`. Raises
    FlawmapError where there is nothing to test on, UsageError where levels do not fit or a report
    of them, or another runtime for them, is asked for.
    """
    if distances:
        _check_runtime(runtime)
    if distances and report is not None:
        raise UsageError("A report shows verdicts, which distances have none of: leave one out.")
    check_target(json_file, "image_auroc", inputs=[report])
    check_target(report, REPORT, inputs=[json_file])
    if distances:
        inspector = load_distances(Path(run), distances)
    else:
        inspector = Inspector.load(run, **runtime)
    dataset = open_dataset(data, layout, training=False)
    images = evaluation_images(dataset, inspector.manifest)
    evaluation = _measure(inspector, dataset, images, show)
    if distances:
        evaluation = replace(evaluation, rows=(), distances=tuple(distances))
    elif runtime.get("precision", "float32") == "float32":
        evaluation = _remembered(Path(run), evaluation)
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), evaluation.to_dict())
    if report is not None:
        from flawmap.inspector.reporting import write_evaluation_report

        write_evaluation_report(Path(report), Path(run), inspector, evaluation)
    return evaluation


def _told(levels: Sequence[int]) -> str:
    return ", ".join(str(level) for level in levels)


@dataclass
class _Gathered:
    evaluator: Evaluator = field(default_factory=Evaluator)
    rows: list[ImageRow] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    bad_masks: list[str] = field(default_factory=list)
    masks: MaskNotes = field(default_factory=MaskNotes)
    milliseconds: list[float] = field(default_factory=list)


def _measure(
    inspector: Inspector,
    dataset: Dataset,
    images: EvaluationImages,
    show: Callable[[int, int], None],
) -> Evaluation:
    start = time.perf_counter()
    gathered, samples, warnings = _Gathered(), images.samples, list(images.warnings)
    results = inspect_files(inspector, [s.path for s in samples])
    for done, (sample, result) in enumerate(zip(samples, results, strict=True), 1):
        _add(gathered, sample, result, dataset.root, inspector, images.calibrated)
        show(done, len(samples))
    if all(row.error for row in gathered.rows):
        raise FlawmapError(f"No test image could be read. {gathered.unreadable[0]}")
    figures = gathered.evaluator.compute()
    seconds = time.perf_counter() - start
    for problems, what in (
        (gathered.unreadable, "unreadable image(s) left out"),
        (
            gathered.bad_masks,
            "image(s) without usable mask, counted for image-level metrics only",
        ),
    ):
        if problems:
            warnings.append(f"{plural(len(problems), what)}: {'; '.join(problems[:3])}")
    about_masks = tuple(gathered.masks.lines())
    warnings += about_masks
    return Evaluation(
        dataset,
        samples,
        figures,
        tuple(gathered.rows),
        seconds,
        tuple(warnings),
        milliseconds=statistics.median(gathered.milliseconds),
        calibrated=sum(row.calibrated and row.error is None for row in gathered.rows),
        mask_notes=about_masks,
    )


def _add(
    gathered: _Gathered,
    sample: Sample,
    result: Inspected,
    root: Path,
    inspector: Inspector,
    calibrated: frozenset[Path],
) -> None:
    seen = result.inspection
    row = _row(sample, seen, result.error, root)
    gathered.rows.append(replace(row, calibrated=sample.path in calibrated))
    if seen is None:
        gathered.unreadable.append(result.error or str(sample.path))
        return
    gathered.milliseconds.append(seen.milliseconds)
    shape = (seen.anomaly_map.shape[0], seen.anomaly_map.shape[1])
    mask: NDArray[np.uint8] | None = None
    try:
        mask = sample_mask(sample, shape, result.size)
    except ImageError as error:
        gathered.bad_masks.append(str(error))
    defective = sample.label == "defective"
    region = None if inspector.region is None else inspector.region.inside(shape)
    gathered.masks.add(sample, mask, region)
    gathered.evaluator.update(seen.anomaly_map, mask, seen.score, defective, region)


def sample_mask(
    sample: Sample, size: tuple[int, int], image_size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Ground truth (h, w) at the map's size; None without one. Raises as read_mask."""
    masks = [read_mask(path, size, image_size=image_size) for path in mask_files(sample)]
    return np.maximum.reduce(masks) if masks else None


def _row(sample: Sample, seen: Inspection | None, error: str | None, root: Path) -> ImageRow:
    path = sample.path
    with contextlib.suppress(ValueError):
        path = path.relative_to(root)
    if seen is None:
        return ImageRow(str(path), sample.label, sample.defect_type, 0.0, 1.0, "good", error)
    return ImageRow(
        str(path), sample.label, sample.defect_type, seen.score, seen.p_value, seen.verdict, None
    )


def _check_runtime(runtime: RuntimeOptions) -> None:
    """Refuse what distances would silently not be computed by."""
    own = {"auto", "onnxruntime", "float32", "cpu", None}
    other = [name for name, value in runtime.items() if value not in own]
    if other:
        raise UsageError(
            "Distances are read out in float32 by ONNX Runtime on the processor: leave "
            f"--{' and --'.join(other)} out."
        )


def _remembered(run: Path, evaluation: Evaluation) -> Evaluation:
    """Keep the figures in the manifest; a run that cannot be written to now goes without, and it
    is said."""
    metrics = evaluation.to_dict() | {
        "data": evaluation.dataset.root.name,
        "milliseconds": round(evaluation.milliseconds or 0.0, 3),
    }
    try:
        with changing(run) as manifest:
            save_manifest(run, manifest.model_copy(update={"metrics": metrics}))
    except FlawmapError as error:
        said = f"The run does not keep these figures. {error}"
        return replace(evaluation, warnings=(*evaluation.warnings, said))
    return evaluation
