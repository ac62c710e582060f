"""Most wrong first: image, heat and outlines of each part side by side."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.evaluation.report.data import Panel, ReportData
from flawmap.evaluation.report.markup import Html, file_name, tag
from flawmap.evaluation.report.numbers import percent, short
from flawmap.evaluation.report.outcome import GRADE, PHRASE, outcome_of
from flawmap.visualization.colour import ANCHORS, PREDICTED, TRUTH, outline, overlay

SMALLEST, LARGEST = 320, 400  # longest side of a shown picture, in pixels
JPEG_QUALITY = 86
HALF = 0.5  # unfamiliar by one half: the middle of that picture's scale


def gallery(data: ReportData) -> Html:
    """All panels in the order given, with the legend of their colours."""
    if not data.panels:
        return Html("")
    threshold = data.thresholds["pixel"]
    shown = [_panel(panel, threshold) for panel in data.panels]
    intro = tag("p", "Missed parts, then false alarms, then the narrowest right calls.")
    title = tag("h2", "Most wrong first")
    remembers = any(panel.unfamiliar is not None for panel in data.panels)
    legend = _legend(threshold, remembers=remembers)
    return tag("section", title, intro, legend, *shown, id="gallery")


def _panel(panel: Panel, threshold: float) -> Html:
    image = _fitted(panel.image)
    heat = _resized(panel.anomaly_map.astype(np.float32), image, Image.Resampling.BILINEAR)
    pictures = [
        _figure(image, "image"),
        _figure(overlay(image, heat, threshold), "heat map"),
        _figure(_outlined(image, panel), _outline_name(panel)),
    ]
    if panel.unfamiliar is not None:
        unknown = _resized(panel.unfamiliar, image, Image.Resampling.BILINEAR)
        pictures.append(_figure(overlay(image, unknown, HALF), "unfamiliar to the memory"))
    side_by_side = tag("div", *pictures, class_="three four" if len(pictures) > 3 else "three")
    return tag("article", _caption(panel), side_by_side, class_="panel")


def _caption(panel: Panel) -> Html:
    row, outcome = panel.row, outcome_of(panel.row)
    kind = f" · {row.defect_type}" if row.defect_type else ""
    facts = f"{row.label}{kind} · score {short(row.score)} · p-value {short(row.p_value)}"
    if panel.least_familiar is not None:
        facts += f" · unfamiliar by {short(panel.least_familiar)}"
    phrase = tag("span", PHRASE[outcome], class_=f"phrase {GRADE[outcome]}")
    lines = [
        tag("div", file_name(row.path), " ", verdict_badge(row.verdict)),
        tag("div", phrase),
        tag("div", f"{facts} · {_coverage(panel)}", class_="quiet"),
    ]
    return tag("header", *lines)


def verdict_badge(verdict: str) -> Html:
    """The verdict as a small label."""
    return tag("span", verdict, class_=f"badge {verdict}")


def _coverage(panel: Panel) -> str:
    """How well the marked area meets the ground truth, in words."""
    marked = panel.predicted > 0
    if not marked.any():
        return "no pixel above the pixel threshold"
    if panel.mask is None or not panel.mask.any():
        return f"{percent(int(marked.sum()), marked.size)} of the image marked"
    truth = _resized(panel.mask, panel.predicted, Image.Resampling.NEAREST) > 0
    found = percent(int((truth & marked).sum()), int(truth.sum()))
    right = percent(int((truth & marked).sum()), int(marked.sum()))
    return f"{found} of the true area marked, {right} of the marked area true"


def _outline_name(panel: Panel) -> str:
    known = panel.mask is not None or panel.row.label == "good"
    return "outlines" if known else "outlines (no ground truth)"


def _outlined(image: NDArray[np.uint8], panel: Panel) -> NDArray[np.uint8]:
    """The marked area under the ground truth; the wider line shows where the two coincide."""
    drawn = outline(image, _region(panel.predicted, image), PREDICTED, width=3)
    if panel.mask is not None:
        drawn = outline(drawn, _region(panel.mask, image), TRUTH, width=2, rim=False)
    return drawn


def _region(mask: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(_resized((mask > 0).astype(np.uint8), like, Image.Resampling.NEAREST))


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with its longest side brought between SMALLEST and LARGEST."""
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = min(max(longest, SMALLEST), LARGEST) / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(
        picture.resize(size, Image.Resampling.BILINEAR if factor > 1 else Image.Resampling.BOX)
    )


def _resized(plane: NDArray[Any], like: NDArray[Any], method: Image.Resampling) -> NDArray[Any]:
    height, width = like.shape[:2]
    if plane.shape == (height, width):
        return plane
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), method))


def _figure(image: NDArray[np.uint8], name: str) -> Html:
    height, width = image.shape[:2]
    picture = tag("img", src=_data_uri(image), alt=name, width=width, height=height, loading="lazy")
    return tag("figure", picture, tag("figcaption", name))


def _data_uri(image: NDArray[np.uint8]) -> Html:
    """JPEG without colour subsampling, so that thin outlines keep their colour."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return Html("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"))


def _legend(threshold: float, *, remembers: bool) -> Html:
    stops = ", ".join(f"rgb({r},{g},{b})" for r, g, b in ANCHORS)
    ramp = tag("span", class_="ramp", style=f"background:linear-gradient(90deg, {stops})")
    words = [
        tag("span", _swatch(TRUTH), "ground truth", class_="key"),
        tag("span", _swatch(PREDICTED), "marked by the inspector", class_="key"),
        tag(
            "span",
            "heat\u00a00",
            ramp,
            f"{short(2 * threshold)}; the pixel threshold {short(threshold)} is its middle",
            class_="key",
        ),
    ]
    if remembers:
        scale = "unfamiliar: the same colours, 0 to 1; 99 of 100 good places lie below the middle"
        words.append(tag("span", scale, class_="key"))
    return tag("div", *words, class_="keys legend")


def _swatch(colour: tuple[int, int, int]) -> Html:
    return tag("i", class_="swatch", style="border-color:rgb({},{},{})".format(*colour))
