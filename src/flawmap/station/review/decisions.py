"""Decisions on parts: an append-only history, from which the part's decision follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flawmap.station.database.tables import DrawnDefect, Part, PartLock, Review
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError

Decision = Literal["good", "reject", "unsure"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


def decide(
    session: Session, part_id: int, user_id: int, decision: Decision, comment: str | None = None
) -> Review:
    """Record a decision; it stands until the same or another person decides again or undoes it.

    The returned row's `before` is what stood until then. Raises RefusedError.
    """
    part = part_for_change(session, part_id)
    act = add_act(session, part, user_id, "decide", decision=decision, comment=comment or None)
    _settle(session, part)
    session.query(PartLock).filter_by(part_id=part_id, user_id=user_id).delete()
    return act


def undo(session: Session, user_id: int, part_id: int | None = None) -> Review:
    """Take a person's own last act back, on one part or on any, by an act of its own.

    Acts of other people stay. Raises RefusedError if there is none.
    """
    last = _last_act(session, user_id, part_id)
    if last is None:
        raise RefusedError("There is nothing left that you could undo.", 409)
    part = part_for_change(session, last.part_id)
    act = add_act(session, part, user_id, "undo", undoes=last.id)
    drawn = update(DrawnDefect)
    if last.action == "draw":
        session.execute(drawn.where(DrawnDefect.review_id == last.id).values(removed_by=act.id))
    elif last.action == "erase":
        session.execute(drawn.where(DrawnDefect.removed_by == last.id).values(removed_by=None))
    _settle(session, part)
    return act


def part_for_change(session: Session, part_id: int) -> Part:
    """Return a part whose row nobody else changes until the transaction ends."""
    part = None
    if 0 < part_id < 2**63:
        part = session.get(Part, part_id, with_for_update=True, populate_existing=True)
    if part is None:
        raise RefusedError(f"There is no part {part_id}.", 404)
    return part


def add_act(
    session: Session,
    part: Part,
    user_id: int,
    action: str,
    *,
    decision: Decision | None = None,
    comment: str | None = None,
    undoes: int | None = None,
) -> Review:
    """Append a row to the history of a part that `part_for_change` returned."""
    act = Review(
        part_id=part.id,
        user_id=user_id,
        created_at=now(),
        action=action,
        decision=decision,
        before=part.decision,
        comment=comment,
        undoes=undoes,
    )
    session.add(act)
    session.flush()
    return act


def history(session: Session, part_id: int) -> Sequence[Review]:
    """Return all acts on a part, the oldest first."""
    query = select(Review).where(Review.part_id == part_id).order_by(Review.id)
    return session.scalars(query).all()


def standing(acts: Iterable[Review]) -> list[Review]:
    """Return of a part's acts, oldest first, each person's last decision that is not undone.

    The last of them is the part's decision.
    """
    acts = list(acts)
    undone = {act.undoes for act in acts}
    latest: dict[int, Review] = {}
    for act in acts:
        if act.action == "decide" and act.id not in undone:
            latest.pop(act.user_id, None)
            latest[act.user_id] = act
    return list(latest.values())


def _settle(session: Session, part: Part) -> None:
    """Make the part's columns say what its history does."""
    stands = standing(history(session, part.id))
    last = stands[-1] if stands else None
    part.reviewers = len(stands)
    part.decision = last.decision if last else None
    part.decided_at = last.created_at if last else None
    part.decided_by = last.user_id if last else None


def _last_act(session: Session, user_id: int, part_id: int | None) -> Review | None:
    undone = select(Review.undoes).where(Review.user_id == user_id, Review.undoes.is_not(None))
    query = (
        select(Review)
        .where(Review.user_id == user_id, Review.action != "undo", Review.id.not_in(undone))
        .order_by(Review.created_at.desc(), Review.id.desc())
        .limit(1)
    )
    if part_id is not None:
        query = query.where(Review.part_id == part_id)
    return session.scalar(query)
