"""Shadow: candidates judge the parts that come, without any effect, in a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from flawmap.errors import FlawmapError
from flawmap.inspection.inspector import Inspector
from flawmap.station.context import Station
from flawmap.station.database.tables import Model, Part, Product, TrialVerdict
from flawmap.station.database.tables.base import now
from flawmap.station.intake.service import intake_of, runtime_of
from flawmap.station.intake.submission import Answer

NAME = "shadow"
WAITING = 64  # parts that may wait; the oldest ones go unjudged
_LOG = logging.getLogger("flawmap.station")


class Shadow:
    """Judge stored parts again by their product's candidate in shadow.

    Inspection waits for nothing here: it only leaves the part in a bounded queue.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._changed = threading.Condition()
        self._waiting: deque[Part] = deque()
        self._closed = False
        self._loaded: dict[int, Inspector | None] = {}  # by model; none: it cannot be loaded
        self.skipped: dict[int, int] = {}
        """Number of parts by product that came faster than the candidate judged."""
        self.problems: dict[int, str] = {}
        """Why a model in shadow judges nothing."""
        self._thread = threading.Thread(target=self._run, name="flawmap-shadow", daemon=True)

    def start(self) -> None:
        """Begin to judge parts."""
        intake_of(self._station).on_judged.append(self._take)
        self._thread.start()

    def stop(self) -> None:
        """Judge nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _take(self, answers: Sequence[Answer]) -> None:
        parts = [one.part for one in answers if one.part.verdict is not None and one.part.has_image]
        with self._changed:
            for part in parts:
                if len(self._waiting) == WAITING:
                    late = self._waiting.popleft()
                    self.skipped[late.product_id] = self.skipped.get(late.product_id, 0) + 1
                self._waiting.append(part)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                part = self._waiting.popleft()
            try:
                self._judge(part)
            except Exception:  # such as a removed part, or a database that does not answer
                _LOG.exception("Part %d was not judged in shadow", part.id)

    def _judge(self, part: Part) -> None:
        model = self._model_of(part.product_id)
        if model is None or part.image is None or part.suffix is None:
            return
        inspector = self._inspector(model)
        if inspector is None:
            return
        path = self._station.files.image_path(part.image, part.suffix)
        outcome = inspector.inspect(path.read_bytes()).record
        if outcome.verdict is None or outcome.score is None:
            return
        row = TrialVerdict(
            model_id=model.id,
            kind="shadow",
            part_id=part.id,
            verdict=outcome.verdict,
            score=outcome.score,
            present=part.verdict,
            present_score=part.score,
            created_at=now(),
        )
        try:
            with self._station.database.write() as session:
                session.add(row)
        except IntegrityError:  # the same part again, answered by its key
            pass

    def _model_of(self, product_id: int) -> Model | None:
        """Return the product's candidate in shadow, and forget those that no longer are."""
        query = select(Model).join(Product, Product.shadow_id == Model.id)
        with self._station.database.read() as session:
            in_shadow = {one.product_id: one for one in session.scalars(query)}
        ids = {one.id for one in in_shadow.values()}
        self._loaded = {key: one for key, one in self._loaded.items() if key in ids}
        self.problems = {key: one for key, one in self.problems.items() if key in ids}
        return in_shadow.get(product_id)

    def _inspector(self, model: Model) -> Inspector | None:
        if model.id not in self._loaded:
            self._loaded[model.id] = None
            try:
                runtime = {**runtime_of(self._station.config), "threads": 1}
                self._loaded[model.id] = Inspector.load(Path(model.folder), **runtime)  # type: ignore[arg-type]
            except FlawmapError as error:
                self.problems[model.id] = str(error)
                _LOG.warning("Model %d cannot judge in shadow: %s", model.id, error)
        return self._loaded[model.id]


def create_service(station: Station) -> Shadow:
    """Return the service of a station."""
    return Shadow(station)


def shadow_of(station: Station) -> Shadow:
    """Return the station's shadow service."""
    return cast(Shadow, station.services[NAME])
