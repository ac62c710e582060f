"""What stored maps say where stored defects do not: read once, then kept for other filters."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.decision import ImageInfo, PostProcessor, load_region
from flawmap.inspection.defects import find_regions
from flawmap.inspection.record import StoredMap
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.insight.thresholds.evidence import Rule
from flawmap.station.insight.thresholds.stored import StoredParts
from flawmap.station.parts.files import FileStore
from flawmap.types import Size

_STEP = 32  # parts between two looks at the clock
_THREADS = 2


class Question(NamedTuple):
    """Whether defects are left on maps of a model by a rule, in the region of a manifest."""

    model: str
    manifest: Manifest
    rule: Rule


class Measured(NamedTuple):
    """Score, and areas (r,) and highest values (r,) of all regions of a map.

    With a region of interest the score is the map's within it, else the model's own, as stored.
    """

    score: float
    areas: NDArray[np.float64]
    peaks: NDArray[np.float32]


class _Row(NamedTuple):
    """Image digest of a part; size of the image and score of the model, as stored with the map."""

    image: str
    size: Size
    score: float


def _raw(stored: dict[str, Any]) -> tuple[Size, float]:
    reference = StoredMap.model_validate(stored)
    return reference.size, reference.score


@dataclass(frozen=True)
class MapMeasures:
    """Reads maps of a station's parts, for the run in `folder`."""

    database: Database
    files: FileStore
    folder: Path

    def answer(
        self, stored: StoredParts, parts: NDArray[np.intp], question: Question, seconds: float
    ) -> dict[int, tuple[float, bool]]:
        """Return score and whether defects are left for those of `parts` that are known by now.

        Reads maps that were not read yet for about `seconds`; 0 reads none.
        """
        rule, region = question.rule, question.manifest.region
        key = question.model, rule.pixel, rule.filters.merge_distance, region
        known = stored.regions.setdefault(key, {})
        ids = stored.id[parts].tolist()
        missing = [index for index, id in zip(parts.tolist(), ids, strict=True) if id not in known]
        if missing and seconds > 0.0:
            self._read(stored, missing, question, known, time.monotonic() + seconds)
        answers = {}
        for index, id in zip(parts.tolist(), ids, strict=True):
            if (found := known.get(id)) is not None:
                passed = found.areas >= rule.filters.min_area
                passed &= found.peaks >= rule.filters.min_peak
                answers[index] = (found.score, bool(passed.any()))
        return answers

    def _read(
        self,
        stored: StoredParts,
        missing: list[int],
        question: Question,
        known: dict[int, Measured],
        until: float,
    ) -> None:
        settings = PostProcessor(question.manifest, load_region(self.folder, question.manifest))
        with ThreadPoolExecutor(_THREADS) as pool:
            for first in range(0, len(missing), _STEP):
                step = missing[first : first + _STEP]
                rows = self._rows([int(stored.id[index]) for index in step])
                work = [(rows[int(stored.id[index])], question, settings) for index in step]
                for index, found in zip(
                    step, pool.map(self._measure, *zip(*work, strict=True)), strict=True
                ):
                    if found is None:  # removed or damaged since, or of no shape to judge
                        stored.has_map[index] = False
                    else:
                        known[int(stored.id[index])] = found
                if time.monotonic() >= until:
                    return

    def _rows(self, ids: list[int]) -> dict[int, _Row]:
        query = select(Part.id, Part.image, Part.record["map"]).where(Part.id.in_(ids))
        with self.database.read() as session:
            return {id: _Row(image, *_raw(stored)) for id, image, stored in session.execute(query)}

    def _measure(self, row: _Row, question: Question, settings: PostProcessor) -> Measured | None:
        try:
            settings.check_shape(ImageInfo(row.size))
            anomaly_map = self.files.read_map(row.image, question.model)
        except FlawmapError:
            return None
        score = row.score
        if settings.region is not None:
            anomaly_map, score = settings.region.read_out(anomaly_map)
        rule = question.rule
        found = find_regions(anomaly_map, rule.pixel, row.size, rule.filters.merge_distance)
        if found is None:
            return Measured(score, np.empty(0), np.empty(0, np.float32))
        return Measured(score, found.areas, found.peaks)
