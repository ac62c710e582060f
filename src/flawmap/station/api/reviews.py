"""Routes of reviews: the next parts, decisions, undo, history, locks, drawn defects, agreement."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Part, Product, User
from flawmap.station.events import Event
from flawmap.station.refusals import RefusedError
from flawmap.station.review import agreement as agreements
from flawmap.station.review import decisions, drawing, locks, queue
from flawmap.station.review.decisions import Decision
from flawmap.station.review.view import (
    Act,
    Drawn,
    PartToReview,
    acts_of,
    drawn,
    drawn_of,
    parts_to_review,
)
from flawmap.station.security import audit
from flawmap.station.security.callers import Operator, Reading

router = APIRouter(prefix="/api/v1", tags=["reviews"])
Id = Annotated[int, Field(ge=1, lt=2**63)]
OrderName = Literal["nearest", "teaches", "oldest", "newest"]


class NextRequest(BaseModel):
    """Which parts to hand out."""

    order: OrderName = Field(
        "nearest",
        description="nearest to the threshold, what teaches most, oldest or newest",
    )
    which: queue.Which = Field(
        "flagged", description="flagged: verdict reject or review; errors: could not be inspected"
    )
    product: str | None = Field(None, max_length=100, description="product name; none: all")
    second: float = Field(
        0.0, ge=0.0, le=1.0, description="share of the parts of others that come again, blind"
    )
    count: int = Field(1, ge=1, le=8, description="parts at most; each is locked for the caller")
    skip: list[Id] = Field([], max_length=500, description="parts that were put off")
    today: int = Field(0, ge=0, lt=2**62, description="count own decisions from this moment on")


class NextParts(BaseModel):
    """The next parts, and how far the person is."""

    parts: list[PartToReview]
    left: int = Field(description="open parts in the queue, these included")
    today: int = Field(description="parts that the person has decided on since `today`")


class NewDecision(BaseModel):
    """A decision on a part."""

    decision: Decision
    comment: str | None = Field(None, max_length=2000)


class Done(BaseModel):
    """An act, and what stands now."""

    act: Act
    part: Id
    decision: Decision | None = Field(description="the part's decision now; none: open again")
    reviewers: int = Field(description="people whose decision on the part stands")


class Held(BaseModel):
    """Locks of the caller, and those that others have."""

    held: list[int] = Field(description="parts that the caller has")
    others: dict[int, str] = Field(description="parts that somebody else has, and who")


class UndoRequest(BaseModel):
    """What to undo."""

    part: Id | None = Field(None, description="the last act on this part; none: on any")


class HoldRequest(BaseModel):
    """Parts that the caller has open."""

    parts: list[Id] = Field(max_length=100)


class TakenOver(BaseModel):
    """A lock that the caller has now."""

    part: int
    taken_from: str | None = Field(description="who had it open until now")


class DefectType(BaseModel):
    """A defect type and its use."""

    name: str
    count: int = Field(description="drawn defects of this type")


class KappaValue(BaseModel):
    """Cohen's kappa with a 95 % interval; none where it is not defined."""

    parts: int
    agreed: int
    kappa: float | None
    low: float | None
    high: float | None


class PairValue(BaseModel):
    """Agreement of two people."""

    first: str
    second: str
    matrix: list[list[int]] = Field(description="rows: first; good, reject, unsure")
    kappa: KappaValue


class AgreementValue(BaseModel):
    """Agreement of all who decided on the same parts."""

    decisions: list[str] = Field(description="order of rows and columns")
    matrix: list[list[int]] = Field(description="rows: who decided earlier; columns: later")
    kappa: KappaValue
    pairs: list[PairValue] = Field(description="pairs with most parts first")


@router.post("/reviews/next")
def next_parts(station: StationOf, caller: Operator, wanted: NextRequest) -> NextParts:
    """Hand out the next parts to review, and lock them for the caller."""
    with station.database.write() as session:
        wish = queue.Wish(
            wanted.order, wanted.which, product_id(session, wanted.product), wanted.second
        )
        found = queue.next_parts(session, caller.user_id, wish, wanted.count, wanted.skip)
        held = set(locks.hold(session, [part.id for part in found], caller.user_id))
    parts = [part for part in found if part.id in held]
    with station.database.read() as session:  # nobody waits for what only reads
        return NextParts(
            parts=parts_to_review(session, station.files, parts, caller.user_id),
            left=queue.count_open(session, wish),
            today=queue.count_since(session, caller.user_id, wanted.today),
        )


@router.get("/parts/{part}/review")
def part_to_review(station: StationOf, caller: Operator, part: Id) -> PartToReview:
    """Describe one part as the review page shows it; this takes no lock."""
    with station.database.read() as session:
        row = session.get(Part, part)
        if row is None:
            raise RefusedError(f"There is no part {part}.", 404)
        return parts_to_review(session, station.files, [row], caller.user_id)[0]


@router.post("/parts/{part}/reviews")
def decide(station: StationOf, caller: Operator, part: Id, wanted: NewDecision) -> Done:
    """Decide on a part. The decision stands until somebody decides again or undoes it."""
    with station.database.write() as session:
        act = decisions.decide(session, part, caller.user_id, wanted.decision, wanted.comment)
        done = _done(session, act.part_id, act.id)
    _publish(station, done)
    return done


@router.post("/reviews/undo")
def undo(station: StationOf, caller: Operator, wanted: UndoRequest) -> Done:
    """Take the caller's own last act back; the history keeps both."""
    with station.database.write() as session:
        act = decisions.undo(session, caller.user_id, wanted.part)
        done = _done(session, act.part_id, act.id)
    _publish(station, done)
    return done


@router.get("/parts/{part}/reviews")
def part_history(station: StationOf, _caller: Reading, part: Id) -> list[Act]:
    """Return the history of a part, oldest act first."""
    with station.database.read() as session:
        return acts_of(session, part)


@router.put("/reviews/locks")
def hold(station: StationOf, caller: Operator, wanted: HoldRequest) -> Held:
    """Refresh the locks of parts that the caller has open, or take those that nobody has."""
    with station.database.write() as session:
        known = session.scalars(select(Part.id).where(Part.id.in_(wanted.parts))).all()
        held = locks.hold(session, known, caller.user_id)
        others = locks.holders(session, wanted.parts, caller.user_id)
    return Held(held=held, others=others)


@router.post("/parts/{part}/lock")
def take_over(station: StationOf, caller: Operator, part: Id) -> TakenOver:
    """Take a part over from whoever has it open; that person's page says so."""
    with station.database.write() as session:
        decisions.part_for_change(session, part)
        taken_from = locks.take_over(session, part, caller.user_id)
        if taken_from is not None:
            audit.record(session, caller, "lock.take", f"part {part}", taken_from=taken_from)
    if taken_from is not None:
        station.events.publish(Event("lock", {"part": part, "by": caller.name}))
    return TakenOver(part=part, taken_from=taken_from)


@router.delete("/parts/{part}/lock", status_code=204)
def release(station: StationOf, caller: Operator, part: Id) -> None:
    """Give the caller's lock of a part back."""
    with station.database.write() as session:
        locks.release(session, part, caller.user_id)


@router.get("/parts/{part}/defects")
def part_drawings(station: StationOf, _caller: Reading, part: Id) -> list[Drawn]:
    """Return the defects that people drew on a part."""
    with station.database.read() as session:
        return drawn_of(session, part)


@router.post("/parts/{part}/defects", status_code=201)
def draw(station: StationOf, caller: Operator, part: Id, drawing_: drawing.Drawing) -> Drawn:
    """Store a defect drawn on a part."""
    with station.database.write() as session:
        return drawn(drawing.draw(session, part, caller.user_id, drawing_))


@router.delete("/parts/{part}/defects/{defect}", status_code=204)
def erase(station: StationOf, caller: Operator, part: Id, defect: Id) -> None:
    """Remove a drawn defect; the history keeps it."""
    with station.database.write() as session:
        drawing.erase(session, part, defect, caller.user_id)


@router.get("/reviews/types")
def types(station: StationOf, _caller: Reading, product: str | None = None) -> list[DefectType]:
    """Return the defect types in use, the most frequent first."""
    with station.database.read() as session:
        found = drawing.defect_types(session, product_id(session, product))
    return [DefectType(name=name, count=count) for name, count in found]


@router.get("/reviews/agreement")
def agreement(
    station: StationOf,
    _caller: Reading,
    product: str | None = None,
    since: Annotated[int, Query(ge=0, lt=2**62, description="microseconds since 1970")] = 0,
) -> AgreementValue:
    """Measure how far people agree on parts that two or more of them decided on."""
    with station.database.read() as session:
        return measured_agreement(session, since, product)


def measured_agreement(session: Session, since: int, product: str | None) -> AgreementValue:
    """Return agreement with people's names."""
    found = agreements.agreement(session, since, product_id(session, product))
    names = {row.id: row.name for row in session.execute(select(User.id, User.name))}
    return AgreementValue(
        decisions=list(decisions.DECISIONS),
        matrix=found.matrix.tolist(),
        kappa=KappaValue(**vars(found.kappa)),
        pairs=[
            PairValue(
                first=names[pair.first],
                second=names[pair.second],
                matrix=pair.matrix.tolist(),
                kappa=KappaValue(**vars(pair.kappa)),
            )
            for pair in found.pairs
        ],
    )


def product_id(session: Session, name: str | None) -> int | None:
    """Return the id of a product, None for all. Raises RefusedError for an unknown name."""
    if not name:
        return None
    found = session.scalar(select(Product.id).where(Product.name == name))
    if found is None:
        raise RefusedError(f"There is no product {name!r}.")
    return found


def _done(session: Session, part_id: int, act_id: int) -> Done:
    part = session.get_one(Part, part_id)
    act = next(one for one in acts_of(session, part_id) if one.id == act_id)
    return Done(act=act, part=part_id, decision=part.decision, reviewers=part.reviewers)


def _publish(station: Station, done: Done) -> None:
    values = {"part": done.part, "decision": done.decision, "by": done.act.user}
    station.events.publish(Event("review", values))
