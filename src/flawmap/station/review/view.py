"""What a review page needs to know of a part, read in few queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import DrawnDefect, Part, Product, Review, User
from flawmap.station.parts.files import FileStore
from flawmap.station.parts.similar import SimilarPart, similar_good_part
from flawmap.station.review.decisions import Decision, history
from flawmap.station.review.drawing import drawn_defects
from flawmap.station.review.locks import holders

_SAME = (
    *("id", "number", "line", "received_at", "fields", "verdict", "score", "p_value"),
    *("error", "note", "width", "height"),
)


class Act(BaseModel):
    """One act in a part's history."""

    id: int
    user: str = Field(description="who did it")
    created_at: int = Field(description="microseconds since 1970, UTC")
    action: str = Field(description="decide, undo, draw or erase")
    decision: Decision | None = Field(description="of decide: good, reject or unsure")
    before: Decision | None = Field(description="the part's decision until then")
    comment: str | None = Field(description="of draw and erase: the defect's type")
    undoes: int | None = Field(description="of undo: the act that was taken back")


class Drawn(BaseModel):
    """A defect that somebody drew."""

    id: int
    type: str = Field(description="defect type, by name")
    shape: str = Field(description="polygon or mask")
    geometry: dict[str, Any] = Field(description="points in image pixels, or size and run lengths")
    area: int = Field(description="image pixels")


class Reference(BaseModel):
    """A good part to compare with."""

    id: int
    number: str | None = Field(description="part number")
    received_at: int = Field(description="microseconds since 1970, UTC")
    image: str = Field(description="address of its image")
    how: str = Field(description="how it was chosen")


class PartToReview(BaseModel):
    """A part with all that a reviewer looks at."""

    id: int
    number: str | None = Field(description="part number, by whom sent it")
    product: str
    line: str | None
    received_at: int = Field(description="microseconds since 1970, UTC")
    fields: dict[str, Any] = Field(description="fields that the sender added")
    verdict: str | None = Field(description="the inspector's; none if it could not inspect")
    score: float | None
    p_value: float | None = Field(description="share of good parts that score as high or higher")
    defects: list[dict[str, Any]] = Field(description="that the inspector marked, worst first")
    error: str | None = Field(description="why there is no verdict")
    note: str | None = Field(description="why an image or map is not stored")
    width: int | None = Field(description="of the image, in pixels")
    height: int | None
    image: str | None = Field(description="address of the image, if it is stored")
    heat: str | None = Field(description="address of the heat map, if it is stored")
    second: bool = Field(
        description="a second look: what others decided is hidden until this person has decided"
    )
    decision: Decision | None = Field(description="what stands; none if open or hidden")
    decided_by: str | None
    locked_by: str | None = Field(description="another person who has the part open")
    drawn: list[Drawn] = Field(description="defects that people drew; for a second look own ones")
    history: list[Act] = Field(description="all acts, oldest first; hidden for a second look")
    reference: Reference | None = Field(description="a good part of the product to compare with")


def parts_to_review(
    session: Session, files: FileStore, parts: Sequence[Part], user_id: int
) -> list[PartToReview]:
    """Describe parts for a reviewer; second looks hide what others did."""
    locked = holders(session, [part.id for part in parts], user_id)
    return [_describe(session, files, part, user_id, locked.get(part.id)) for part in parts]


def acts_of(session: Session, part_id: int) -> list[Act]:
    """Return a part's history with people's names."""
    acts = history(session, part_id)
    names = _names(session, {act.user_id for act in acts})
    return [_act(act, names) for act in acts]


def drawn_of(session: Session, part_id: int) -> list[Drawn]:
    """Return the drawn defects of a part that were not removed."""
    return [drawn(one) for one in drawn_defects(session, part_id)]


def drawn(row: DrawnDefect) -> Drawn:
    """Describe a drawn defect."""
    return Drawn(id=row.id, type=row.type, shape=row.shape, geometry=row.geometry, area=row.area)


def _describe(
    session: Session, files: FileStore, part: Part, user_id: int, locked_by: str | None
) -> PartToReview:
    acts = history(session, part.id)
    own = any(act.action == "decide" and act.user_id == user_id for act in acts)
    second = part.reviewers > 0 and not own
    drawings = drawn_defects(session, part.id)
    if second:
        by_others = {act.id for act in acts if act.user_id != user_id}
        drawings = [one for one in drawings if one.review_id not in by_others]
    product = session.get_one(Product, part.product_id)
    similar = similar_good_part(session, files, part)
    return PartToReview(
        **{name: getattr(part, name) for name in _SAME},
        product=product.name,
        defects=part.record.get("defects") or [],
        image=f"/parts/{part.id}/image" if part.has_image else None,
        heat=f"/parts/{part.id}/heat.png" if part.has_map else None,
        second=second,
        decision=None if second else part.decision,
        decided_by=None if second else _names(session, {part.decided_by}).get(part.decided_by),
        locked_by=locked_by,
        drawn=[drawn(one) for one in drawings],
        history=[] if second else acts_of(session, part.id),
        reference=_reference(similar) if similar is not None else None,
    )


def _reference(similar: SimilarPart) -> Reference:
    return Reference(
        id=similar.part.id,
        number=similar.part.number,
        received_at=similar.part.received_at,
        image=f"/parts/{similar.part.id}/image",
        how=similar.how,
    )


def _act(act: Review, names: dict[int | None, str]) -> Act:
    return Act(
        id=act.id,
        user=names[act.user_id],
        created_at=act.created_at,
        action=act.action,
        decision=act.decision,
        before=act.before,
        comment=act.comment,
        undoes=act.undoes,
    )


def _names(session: Session, ids: set[int] | set[int | None]) -> dict[int | None, str]:
    found = session.execute(select(User.id, User.name).where(User.id.in_(ids - {None})))
    return {row.id: row.name for row in found}
