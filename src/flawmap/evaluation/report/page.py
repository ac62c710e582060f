"""The HTML page: one file that loads nothing from anywhere."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flawmap.evaluation.report import gallery, history, scores, summary, table
from flawmap.evaluation.report.data import ReportData
from flawmap.evaluation.report.numbers import without_controls
from flawmap.utils.files import make_folder, write_bytes

# Even if markup got through by mistake, the browser would load and send nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(path: Path, data: ReportData) -> None:
    """Write the report atomically, replacing an older one; make its folder if needed.

    Raises FlawmapError if the folder is not writable.
    """
    path = Path(path)
    make_folder(path.parent)
    # File names that are not UTF-8 come as lone surrogates: shown as \udcXX.
    write_bytes(path, render_report(data).encode("utf-8", "backslashreplace"))


def render_report(data: ReportData) -> str:
    """Return the page as text; the same data gives the same page, byte for byte."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            data=data,
            policy=_POLICY,
            warnings=summary.warnings(data),
            verdicts=summary.verdicts(data),
            calibration_note=summary.calibration_note(data),
            metrics=summary.metrics(data),
            facts=summary.facts(data),
            scores=scores.image_scores(data),
            curves=scores.curves(data),
            types=scores.defect_types(data),
            gallery=gallery.gallery(data),
            images=table.all_images(data),
            training=history.training(data),
            configuration=json.dumps(data.configuration, indent=2, ensure_ascii=False, default=str),
        )
    )


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("flawmap.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )


def _printable(value: Any) -> Any:
    """Clean text; keep what is markup already."""
    return (
        without_controls(value)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )
