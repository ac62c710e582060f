"""The whole page: one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

from flawmap.evaluation.report import gallery, history, scores, summary, table
from flawmap.evaluation.report.data import ReportData
from flawmap.evaluation.report.markup import Html, join, tag
from flawmap.evaluation.report.style import SCRIPT, STYLE
from flawmap.utils.files import make_folder, write_bytes

# Even where a mistake let markup through, the browser would load and send nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_report(path: Path, data: ReportData) -> None:
    """Writes the report whole or not at all; an older one of that name is replaced.

    Raises FlawmapError where the folder cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    # File names that are not UTF-8 come as lone surrogates: shown as \udcXX.
    write_bytes(path, render_report(data).encode("utf-8", "backslashreplace"))


def render_report(data: ReportData) -> Html:
    """The page as text; the same data gives the same page, byte for byte."""
    body = tag("body", _header(data), tag("main", *_sections(data)), tag("script", Html(SCRIPT)))
    return join([Html("<!DOCTYPE html>\n"), tag("html", _head(data), body, lang="en"), Html("\n")])


def _sections(data: ReportData) -> list[Html]:
    return [
        summary.warnings(data),
        summary.headline(data),
        summary.cards(data),
        scores.scores(data),
        scores.curves(data),
        scores.defect_types(data),
        gallery.gallery(data),
        table.all_images(data),
        history.training(data),
        _provenance(data),
    ]


def _head(data: ReportData) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", data.title),
        tag("style", Html(STYLE)),
    )


def _header(data: ReportData) -> Html:
    parts = [tag("p", "Inspection report", class_="kicker"), tag("h1", data.title)]
    return tag("header", *parts, tag("p", data.product, class_="product"), class_="top")


def _provenance(data: ReportData) -> Html:
    """Exact configuration and versions: what is needed to get this very result again."""
    configuration = json.dumps(data.configuration, indent=2, ensure_ascii=False, default=str)
    folded = tag("details", tag("summary", "Exact configuration"), tag("pre", configuration))
    entries = [tag("div", tag("dt", k), tag("dd", v)) for k, v in data.versions.items()]
    versions = tag("dl", *entries, class_="facts")
    title = tag("h2", "Configuration and versions")
    return tag("section", title, folded, versions, id="configuration")
