"""Decisions: what stands after any order of acts, and that the history keeps all of them."""

from __future__ import annotations

import itertools
import threading

import pytest
from sqlalchemy import select

from flawmap.station.context import Station
from flawmap.station.database.tables import Part, Review
from flawmap.station.refusals import RefusedError
from flawmap.station.review.decisions import Decision, decide, history, undo
from station.filling import add_user, fill


@pytest.fixture
def people(station: Station) -> tuple[int, int]:
    """Two operators, and three parts."""
    fill(station.database, 3)
    return add_user(station.database, "anna", "operator"), add_user(
        station.database, "ben", "operator"
    )


STANDING = [
    ("Ag", "good", "A", 1),
    ("Ag Br", "reject", "B", 2),
    ("Ag Br Ag", "good", "A", 2),
    ("Ag Ar", "reject", "A", 1),
    ("Ag Az", None, None, 0),
    ("Ag Ar Az", "good", "A", 1),
    ("Ag Ar Az Az", None, None, 0),
    ("Ag Br Az", "reject", "B", 1),  # an undo takes back one's own act only
    ("Ag Br Bz", "good", "A", 1),
    ("Ag Br Bz Bu", "unsure", "B", 2),
    ("Br Ag Az Br", "reject", "B", 1),
]


def test_what_stands(station: Station, people: tuple[int, int]) -> None:
    fill(station.database, len(STANDING))
    ids: dict[str | None, int | None] = {"A": people[0], "B": people[1], None: None}
    for part_id, (acts, decision, by, reviewers) in enumerate(STANDING, 1):
        for who, what in acts.split():
            _act(station, part_id, ids[who], what)
        with station.database.read() as session:
            part = session.get_one(Part, part_id)
            rows = history(session, part_id)
        assert (part.decision, part.reviewers) == (decision, reviewers), acts
        assert part.decided_by == ids[by], acts
        assert (part.decided_at is None) == (decision is None), acts
        assert len(rows) == len(acts.split()), acts
        assert rows[0].before is None, acts


def _act(station: Station, part_id: int, user_id: int | None, what: str) -> None:
    assert user_id is not None
    with station.database.write() as session:
        if what == "z":
            undo(session, user_id, part_id)
        else:
            words: dict[str, Decision] = {"g": "good", "r": "reject", "u": "unsure"}
            decide(session, part_id, user_id, words[what])


def test_before_says_what_stood(station: Station, people: tuple[int, int]) -> None:
    anna, ben = people
    with station.database.write() as session:
        decide(session, 1, anna, "good", "small spot")
        decide(session, 1, ben, "reject")
        undo(session, ben)
    with station.database.read() as session:
        rows = history(session, 1)
    assert [(row.action, row.decision, row.before, row.comment) for row in rows] == [
        ("decide", "good", None, "small spot"),
        ("decide", "reject", "good", None),
        ("undo", None, "reject", None),
    ]
    assert rows[2].undoes == rows[1].id


def test_undo_goes_back_act_by_act_over_parts(station: Station, people: tuple[int, int]) -> None:
    anna, _ = people
    with station.database.write() as session:
        for part_id in (1, 2, 3):
            decide(session, part_id, anna, "good")
        assert [undo(session, anna).part_id for _ in range(3)] == [3, 2, 1]
        with pytest.raises(RefusedError, match="nothing left"):
            undo(session, anna)


def test_a_part_that_is_not_there(station: Station) -> None:
    user = add_user(station.database, "anna", "operator")
    with station.database.write() as session:
        for part_id in (0, -1, 99, 2**63, 2**70):
            with pytest.raises(RefusedError, match="There is no part"):
                decide(session, part_id, user, "good")


def test_people_who_decide_at_once_are_all_in_the_history(station: Station) -> None:
    fill(station.database, 1)
    users = [add_user(station.database, f"user {i}", "operator") for i in range(8)]
    start = threading.Barrier(len(users))

    def review(user: int) -> None:
        start.wait()
        with station.database.write() as session:
            decide(session, 1, user, "reject" if user % 2 else "good")

    threads = [threading.Thread(target=review, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with station.database.read() as session:
        rows = session.scalars(select(Review).order_by(Review.id)).all()
        part = session.get_one(Part, 1)
    assert sorted(row.user_id for row in rows) == sorted(users)
    assert part.reviewers == len(users)
    assert (part.decision, part.decided_by) == (rows[-1].decision, rows[-1].user_id)
    for earlier, later in itertools.pairwise(rows):  # nobody missed another's decision
        assert later.before == earlier.decision
