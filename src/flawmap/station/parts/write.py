"""Storing of inspected parts: files first, then all rows of a batch in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError
from flawmap.inspection.decision import Inspection, Outcome, record_of
from flawmap.inspection.record import StoredMap
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Part
from flawmap.station.parts.files import FileStore
from flawmap.station.parts.pattern import pattern_of

StoreListener = Callable[[Session, Sequence[Part]], None]
"""Called with new rows within their transaction, such as to add messages to the outbox."""


@dataclass(frozen=True)
class NewPart:
    """A part that was inspected, or could not be, and what its sender said of it.

    `data`: the image's file as received; `suffix`: its file extension, such as `.png`, empty for
    what is no image; `received_at` in microseconds since 1970.
    """

    product_id: int
    outcome: Outcome
    data: bytes
    suffix: str
    received_at: int
    source: str
    key: str | None = None
    number: str | None = None
    line: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    waited_ms: float | None = None
    total_ms: float | None = None


class PartWriter:
    """Write parts to files and database, and let listeners take part in the transaction."""

    def __init__(self, database: Database, files: FileStore) -> None:
        self._database, self._files = database, files
        self.listeners: list[StoreListener] = []

    def store(self, parts: Sequence[NewPart]) -> list[Part]:
        """Store a batch; when this returns, all of it is in the database."""
        with self._files.changing:
            rows = [self._row(part) for part in parts]
            with self._database.write() as session:
                session.add_all(rows)
                session.flush()
                for listener in self.listeners:
                    listener(session, rows)
        return rows

    def _row(self, part: NewPart) -> Part:
        record = record_of(part.outcome)
        texts = {"path": _clean(record.path), "error": _clean(record.error)}
        record = record.model_copy(update=texts)
        row = Part(
            key=_clean(part.key),
            product_id=part.product_id,
            received_at=part.received_at,
            number=_clean(part.number),
            line=_clean(part.line),
            source=_clean(part.source),
            fields={_clean(name): _clean(text) for name, text in part.fields.items()},
            verdict=record.verdict,
            score=record.score,
            p_value=record.p_value,
            defects=None if record.defects is None else len(record.defects),
            largest_area=max((d.area for d in record.defects or ()), default=None),
            error=record.error,
            model=record.model,
            settings=record.settings,
            image=record.image,
            suffix=part.suffix,
            bytes=len(part.data),
            waited_ms=part.waited_ms,
            total_ms=part.total_ms,
            reviewers=0,
        )
        if isinstance(part.outcome, Inspection):
            row.pattern = pattern_of(part.outcome.raw_map)
        self._write_files(part, row)
        stored = _map_reference(part, row, self._files)
        row.record = record.model_copy(update={"map": stored}).to_dict()
        return row

    def _write_files(self, part: NewPart, row: Part) -> None:
        """Write image and map; where the disk does not take them, the row says so."""
        row.has_image = row.has_map = False
        if row.image is None:
            return
        if not part.suffix:
            row.note = "Not stored: it is not an image file."
            return
        try:
            self._files.put_image(row.image, part.suffix, part.data)
            row.has_image = True
            if isinstance(part.outcome, Inspection):
                row.height, row.width = part.outcome.size
                row.map_bytes = self._files.put_map(row.image, row.model, part.outcome.raw_map)
                row.has_map = True
        except (OSError, FlawmapError) as error:
            row.note = f"Not stored: {error}"


def _clean(text: str | None) -> str | None:
    """Replace what databases do not store in a text: NUL and halves of surrogate pairs.

    File names that are not UTF-8 have such halves in Python.
    """
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _map_reference(part: NewPart, row: Part, files: FileStore) -> StoredMap | None:
    if not row.has_map or row.image is None or not isinstance(part.outcome, Inspection):
        return None
    place = files.map_path(row.image, row.model).relative_to(files.folder)
    return StoredMap(file=place.as_posix(), size=part.outcome.size, score=part.outcome.raw_score)
