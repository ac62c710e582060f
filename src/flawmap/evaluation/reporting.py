"""Write the HTML report of an evaluation."""

from __future__ import annotations

from pathlib import Path

from flawmap.data.image_io.images import ImageError, resize_image
from flawmap.errors import FlawmapError
from flawmap.evaluation.ground_truth import sample_mask
from flawmap.evaluation.report import ImageRow, Panel, ReportData, most_wrong_first, write_report
from flawmap.evaluation.result import Evaluation
from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.output.images import resize_map, resize_mask
from flawmap.inspection.read_outs.unfamiliar import load_memory
from flawmap.types import Size
from flawmap.utils.hardware import versions

_PANELS = 24
_LONGEST = 1024  # longest side in pixels of a panel's images, all held until the report is written


def write_evaluation_report(
    path: Path, run: Path, inspector: Inspector, evaluation: Evaluation, product: str | None = None
) -> None:
    """Write the report of ``evaluation``, showing the most wrongly scored images."""
    manifest = inspector.manifest
    calibration = manifest.calibration
    thresholds = {
        "review": calibration.review.value,
        "reject": calibration.reject.value,
        "pixel": calibration.pixel.value,
    }
    values = evaluation.to_dict()
    notes = values.pop("notes")
    curves = {k: (c[:, 0], c[:, 1]) for k, c in evaluation.metrics.curves.items()}
    readable = [row for row in evaluation.rows if row.error is None]
    worst = most_wrong_first(readable, thresholds)[:_PANELS]
    memory, silence = _memory(run)
    data = ReportData(
        title=f"Inspection report: {evaluation.dataset.root.name}",
        product=product or evaluation.dataset.describe(),
        metrics=values,
        notes=notes,
        rows=evaluation.rows,
        panels=[_panel(inspector, memory, evaluation, row) for row in worst],
        thresholds=thresholds,
        guarantee=calibration.statement(),
        curves=curves,
        training_log=read_log(run / TRAINING_LOG),
        configuration=manifest.model_dump(
            mode="json",
            exclude={"calibration": True, "training": {"trained_on", "set_aside"}, "metrics": True},
        ),
        versions=versions(),
        warnings=(*evaluation.warnings, *silence),
    )
    write_report(path, data)


def _memory(run: Path) -> tuple[Inspector | None, tuple[str, ...]]:
    """Inspector for the memory's own map, None if absent, and the reason if it fails to load."""
    try:
        return load_memory(run), ()
    except FlawmapError as error:
        return None, (f"The memory's own map is not shown. {error}",)


def _panel(
    inspector: Inspector, memory: Inspector | None, evaluation: Evaluation, row: ImageRow
) -> Panel:
    sample = evaluation.samples[evaluation.rows.index(row)]
    image = inspector.framing.decode(sample.path)
    inspection = inspector.inspect(image)
    size = _shown((inspection.mask.shape[0], inspection.mask.shape[1]))
    try:
        mask = sample_mask(sample, size, (image.shape[0], image.shape[1]))
    except ImageError:
        mask = None
    marked = resize_mask(inspection.mask, size)
    remembered = None if memory is None else memory.inspect(image)
    return Panel(
        row,
        resize_image(image, size),
        resize_map(inspection.anomaly_map, size),
        mask,
        marked,
        None if remembered is None else resize_map(remembered.anomaly_map, size),
        None if remembered is None else remembered.score,
    )


def _shown(size: Size) -> Size:
    """Size of a panel: the map's own, scaled down if it exceeds ``_LONGEST``."""
    scale = min(1.0, _LONGEST / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))
