"""``flawmap evaluate``: compute all metrics of an inspector on a labelled data set."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.images import ImageError
from flawmap.data.layouts import Dataset, Sample, open_dataset
from flawmap.data.samples import plural
from flawmap.data.targets import REPORT, check_target
from flawmap.errors import FlawmapError, UsageError
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.mask_notes import MaskNotes
from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.evaluator import lies_outside
from flawmap.evaluation.report.data import ImageRow
from flawmap.evaluation.result import Evaluation
from flawmap.evaluation.used_images import EvaluationImages, evaluation_images
from flawmap.inspection.bundle.manifest import changing
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.decision import Inspection, Outcome, record_of
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.read_outs.distances import load_distances
from flawmap.inspection.record import InspectionRecord
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import make_folder, write_json


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
    metrics but not for rates of verdicts: their rows are marked ``calibrated``. Defective images
    whose masks mark nothing within the region of interest count as good for the metrics and not for
    rates of verdicts: their rows are marked ``outside``.

    ``json_file`` and ``report`` name files to write. ``distances`` lists feature levels, 1 the
    finest: the product of their teacher-student distances, computed by ONNX Runtime, is measured
    instead of the inspector's map; (1, 2, 3) is DeSTSeg's "DeST". ``runtime``: as for
    :meth:`Inspector.load`. Raises FlawmapError if there is nothing to test on, UsageError if the
    levels do not fit or are combined with a report or with another runtime.
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
    evaluation = measure(inspector, dataset, images, show)
    if distances:
        evaluation = replace(evaluation, rows=(), distances=tuple(distances))
    elif runtime.get("precision", "float32") == "float32":
        evaluation = _remembered(Path(run), evaluation)
    if json_file is not None:
        make_folder(Path(json_file).parent)
        write_json(Path(json_file), evaluation.to_dict())
    if report is not None:
        from flawmap.evaluation.reporting import write_evaluation_report

        write_evaluation_report(Path(report), Path(run), inspector, evaluation)
    return evaluation


@dataclass
class _Gathered:
    evaluator: Evaluator = field(default_factory=Evaluator)
    rows: list[ImageRow] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    bad_masks: list[str] = field(default_factory=list)
    masks: MaskNotes = field(default_factory=MaskNotes)
    milliseconds: list[float] = field(default_factory=list)


def measure(
    inspector: Inspector,
    dataset: Dataset,
    images: EvaluationImages,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Run an inspector over images of a dataset and compute all metrics.

    Raises FlawmapError if none of them can be inspected.
    """
    start = time.perf_counter()
    gathered, samples, warnings = _Gathered(), images.samples, list(images.warnings)
    results = inspect_files(inspector, [s.path for s in samples])
    for done, (sample, result) in enumerate(zip(samples, results, strict=True), 1):
        _add(gathered, sample, result, dataset.root, inspector, images.calibrated)
        show(done, len(samples))
    if all(row.error for row in gathered.rows):
        raise FlawmapError(f"No test image could be inspected. {gathered.failed[0]}")
    metrics = gathered.evaluator.compute()
    seconds = time.perf_counter() - start
    for problems, what in (
        (gathered.failed, "image(s) left out, not inspected"),
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
        metrics,
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
    result: Outcome,
    root: Path,
    inspector: Inspector,
    calibrated: frozenset[Path],
) -> None:
    row = _row(sample, record_of(result), root, calibrated)
    if not isinstance(result, Inspection):
        gathered.rows.append(row)
        gathered.failed.append(str(result.error))
        return
    gathered.milliseconds.append(result.milliseconds)
    shape = (result.anomaly_map.shape[0], result.anomaly_map.shape[1])
    mask: NDArray[np.uint8] | None = None
    try:
        mask = sample_mask(sample, shape, result.size)
    except ImageError as error:
        gathered.bad_masks.append(str(error))
    defective = sample.label == "defective"
    region = None if inspector.region is None else inspector.region.inside(shape)
    gathered.rows.append(replace(row, outside=defective and lies_outside(mask, region)))
    gathered.masks.add(sample, mask, region)
    gathered.evaluator.update(result.anomaly_map, mask, result.score, defective, region)


def _row(
    sample: Sample, record: InspectionRecord, root: Path, calibrated: frozenset[Path]
) -> ImageRow:
    path = sample.path
    with contextlib.suppress(ValueError):
        path = path.relative_to(root)
    record = record.model_copy(update={"path": str(path)})
    return ImageRow(record, sample.label, sample.defect_type, sample.path in calibrated)


def _check_runtime(runtime: RuntimeOptions) -> None:
    """Raise UsageError for runtime options that distances would silently ignore."""
    own = {"auto", "onnxruntime", "float32", "cpu", None}
    other = [name for name, value in runtime.items() if value not in own]
    if other:
        raise UsageError(
            "Distances are read out in float32 by ONNX Runtime on the processor: leave "
            f"--{' and --'.join(other)} out."
        )


def _remembered(run: Path, evaluation: Evaluation) -> Evaluation:
    """Store the metrics in the manifest; if the run cannot be written to, add a warning."""
    metrics = evaluation.to_dict() | {
        "data": evaluation.dataset.root.name,
        "milliseconds": round(evaluation.milliseconds or 0.0, 3),
    }
    try:
        with changing(run) as manifest:
            save_manifest(run, manifest.model_copy(update={"metrics": metrics}))
    except FlawmapError as error:
        warning = f"The run does not keep these metrics. {error}"
        return replace(evaluation, warnings=(*evaluation.warnings, warning))
    return evaluation
