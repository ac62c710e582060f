"""Defects that reviewers draw: polygons and brush masks in image pixels, typed by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flawmap.data.masks.annotations import shapes
from flawmap.station.database.tables import DrawnDefect, Part
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.review.decisions import add_act, part_for_change

_POINTS, _RUNS = 5_000, 100_000  # numbers in one drawing at most
Coordinate = Annotated[float, Field(ge=0.0, le=100_000.0)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Polygon(_Checked):
    """Corners as (x, y) in image pixels; the first follows on the last."""

    points: list[tuple[Coordinate, Coordinate]] = Field(min_length=3, max_length=_POINTS)


class Mask(_Checked):
    """Run lengths: start and length in turn, over pixels in rows from the top left."""

    size: tuple[int, int] = Field(description="height and width of the image")
    runs: list[int] = Field(min_length=2, max_length=_RUNS)

    @model_validator(mode="after")
    def _ascending(self) -> Mask:
        if len(self.runs) % 2:
            raise ValueError("runs need a length for each start")
        starts, lengths = np.asarray(self.runs, np.float64).reshape(-1, 2).T
        ends = starts + lengths
        inside = starts[0] >= 0 and ends[-1] <= self.size[0] * self.size[1]
        if not inside or (lengths < 1).any() or (starts[1:] < ends[:-1]).any():
            raise ValueError("runs must ascend, not overlap, and lie within the image")
        return self


class Drawing(_Checked):
    """One drawn defect."""

    type: str = Field(min_length=1, max_length=60, description="defect type, by name")
    shape: Literal["polygon", "mask"]
    geometry: Polygon | Mask

    @model_validator(mode="after")
    def _matching(self) -> Drawing:
        self.type = " ".join(self.type.split())
        if not self.type:
            raise ValueError("the type is blank")
        if isinstance(self.geometry, Polygon) != (self.shape == "polygon"):
            raise ValueError("a polygon has points; a mask has size and runs")
        return self


def draw(session: Session, part_id: int, user_id: int, drawing: Drawing) -> DrawnDefect:
    """Store a drawn defect with an act in the part's history.

    Raises RefusedError if it does not lie in the part's image or covers no pixel.
    """
    part = part_for_change(session, part_id)
    size = _size(part)
    if isinstance(drawing.geometry, Mask) and drawing.geometry.size != size:
        raise RefusedError(f"The mask is for an image of {drawing.geometry.size}, this is {size}.")
    area = int(_pixels(drawing.geometry, size).sum())
    if not area:
        raise RefusedError("The drawing covers no pixel of the image.")
    act = add_act(session, part, user_id, "draw", comment=drawing.type)
    row = DrawnDefect(
        part_id=part_id,
        review_id=act.id,
        type=drawing.type,
        shape=drawing.shape,
        geometry=drawing.geometry.model_dump(mode="json"),
        area=area,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    return row


def erase(session: Session, part_id: int, defect_id: int, user_id: int) -> None:
    """Remove a drawn defect: its row stays, and says by which act it was removed."""
    part = part_for_change(session, part_id)
    row = session.get(DrawnDefect, defect_id) if defect_id < 2**63 else None
    if row is None or row.part_id != part_id or row.removed_by is not None:
        raise RefusedError(f"The part {part_id} has no drawn defect {defect_id}.")
    row.removed_by = add_act(session, part, user_id, "erase", comment=row.type).id


def drawn_defects(session: Session, part_id: int) -> Sequence[DrawnDefect]:
    """Return the drawn defects of a part that were not removed, the oldest first."""
    query = select(DrawnDefect).where(
        DrawnDefect.part_id == part_id, DrawnDefect.removed_by.is_(None)
    )
    return session.scalars(query.order_by(DrawnDefect.id)).all()


def defect_types(session: Session, product_id: int | None = None) -> list[tuple[str, int]]:
    """Return the types in use and how often each is, the most frequent first."""
    count = func.count()
    query = select(DrawnDefect.type, count).where(DrawnDefect.removed_by.is_(None))
    if product_id is not None:
        query = query.join(Part).where(Part.product_id == product_id)
    query = query.group_by(DrawnDefect.type).order_by(count.desc(), DrawnDefect.type).limit(100)
    return [(name, number) for name, number in session.execute(query)]


def mask_of(defects: Sequence[DrawnDefect], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask (H, W) with 1 where any of the drawn defects is, 0 elsewhere."""
    mask = np.zeros(size, np.uint8)
    for defect in defects:
        kind = Polygon if defect.shape == "polygon" else Mask
        np.maximum(mask, _pixels(kind.model_validate(defect.geometry), size), out=mask)
    return mask


def _pixels(geometry: Polygon | Mask, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Rasterise to (H, W) of 0 and 1: a pixel belongs to a polygon if its centre does."""
    if isinstance(geometry, Polygon):
        return shapes.draw([shapes.Polygon(tuple(geometry.points))], size).astype(np.uint8)
    flat = np.zeros(size[0] * size[1] + 1, np.int8)
    runs = np.asarray(geometry.runs, np.int64)
    np.add.at(flat, runs[::2], 1)
    np.add.at(flat, runs[::2] + runs[1::2], -1)
    return np.cumsum(flat, dtype=np.int8)[:-1].reshape(size).astype(np.uint8)


def _size(part: Part) -> tuple[int, int]:
    if part.height is None or part.width is None:
        raise RefusedError("This part has no image to draw on.")
    return part.height, part.width
