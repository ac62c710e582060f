"""The gallery: image, heat map and outlines of each part side by side, most wrong first."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flawmap.evaluation.report.data import Panel, ReportData
from flawmap.evaluation.report.numbers import percent, short
from flawmap.evaluation.report.outcome import GRADE, PHRASE, Grade, outcome_of
from flawmap.inspection.output.images import resize_map, resize_mask
from flawmap.visualization.colour import ANCHORS, PREDICTED, TRUTH, outline, overlay

SMALLEST, LARGEST = 320, 400  # longest side of an image shown, in pixels
JPEG_QUALITY = 86
HALF = 0.5  # unfamiliar by one half: the middle of that map's scale


@dataclass(frozen=True)
class GalleryImage:
    """One image of a panel as JPEG in a data URI."""

    name: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A panel as the page shows it."""

    path: str
    verdict: str
    phrase: str
    grade: Grade
    facts: list[str]
    images: list[GalleryImage]


@dataclass(frozen=True)
class Legend:
    """Colours (CSS) and ends of the scale of the heat map."""

    truth: str
    predicted: str
    ramp: str
    middle: str
    high: str
    has_memory: bool


@dataclass(frozen=True)
class Gallery:
    """All panels in the order given, with the legend of their colours."""

    legend: Legend
    panels: list[Shown]


def gallery(data: ReportData) -> Gallery | None:
    """Render the panels' images; None if there are no panels."""
    if not data.panels:
        return None
    threshold = data.thresholds["pixel"]
    has_memory = any(panel.unfamiliar is not None for panel in data.panels)
    panels = [_shown(panel, threshold) for panel in data.panels]
    return Gallery(_legend(threshold, has_memory=has_memory), panels)


def _shown(panel: Panel, threshold: float) -> Shown:
    row, outcome = panel.row, outcome_of(panel.row)
    return Shown(
        path=row.path,
        verdict=row.verdict,
        phrase=PHRASE[outcome],
        grade=GRADE[outcome],
        facts=_facts(panel),
        images=_images(panel, threshold),
    )


def _images(panel: Panel, threshold: float) -> list[GalleryImage]:
    image = _fitted(panel.image)
    heat = resize_map(panel.anomaly_map, image.shape[:2])
    images = [
        _encoded(image, "image"),
        _encoded(overlay(image, heat, threshold), "heat map"),
        _encoded(_outlined(image, panel), _outline_name(panel)),
    ]
    if panel.unfamiliar is not None:
        unknown = resize_map(panel.unfamiliar, image.shape[:2])
        images.append(_encoded(overlay(image, unknown, HALF), "unfamiliar to the memory"))
    return images


def _facts(panel: Panel) -> list[str]:
    row = panel.row
    facts: list[str] = [row.label]
    if row.defect_type and row.defect_type != row.label:
        facts.append(row.defect_type)
    facts += [f"score {short(row.score)}", f"p-value {short(row.p_value)}"]
    if panel.least_familiar is not None:
        facts.append(f"unfamiliar by {short(panel.least_familiar)}")
    return [*facts, _coverage(panel)]


def _coverage(panel: Panel) -> str:
    """Describe how well the marked area meets the ground truth."""
    marked = panel.predicted > 0
    if not marked.any():
        return "no pixel above the pixel threshold"
    if panel.mask is None or not panel.mask.any():
        return f"{percent(int(marked.sum()), marked.size)} of the image marked"
    truth = resize_mask(panel.mask, panel.predicted.shape) > 0
    covered = percent(int((truth & marked).sum()), int(truth.sum()))
    right = percent(int((truth & marked).sum()), int(marked.sum()))
    return f"{covered} of the true area marked, {right} of the marked area true"


def _outline_name(panel: Panel) -> str:
    known = panel.mask is not None or panel.row.label == "good"
    return "outlines" if known else "outlines (no ground truth)"


def _outlined(image: NDArray[np.uint8], panel: Panel) -> NDArray[np.uint8]:
    """Draw the marked area under the ground truth; its wider line shows where both coincide."""
    drawn = outline(image, _region(panel.predicted, image), PREDICTED, width=3)
    if panel.mask is not None:
        drawn = outline(drawn, _region(panel.mask, image), TRUTH, width=2, rim=False)
    return drawn


def _region(mask: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return resize_mask((mask > 0).astype(np.uint8), like.shape[:2])


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize the image so that its longest side lies between SMALLEST and LARGEST."""
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = min(max(longest, SMALLEST), LARGEST) / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = Image.Resampling.BILINEAR if factor > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, method))


def _encoded(image: NDArray[np.uint8], name: str) -> GalleryImage:
    height, width = image.shape[:2]
    return GalleryImage(name, _data_uri(image), width, height)


def _data_uri(image: NDArray[np.uint8]) -> str:
    """Return a JPEG without colour subsampling, so that thin outlines keep their colour."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _legend(threshold: float, *, has_memory: bool) -> Legend:
    return Legend(
        truth=_css(TRUTH),
        predicted=_css(PREDICTED),
        ramp=", ".join(map(_css, ANCHORS)),
        middle=short(threshold),
        high=short(2 * threshold),
        has_memory=has_memory,
    )


def _css(colour: tuple[int, int, int]) -> str:
    return "rgb({},{},{})".format(*colour)
