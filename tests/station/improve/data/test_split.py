"""Which parts are learned from and which are compared on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flawmap.station.improve.data.split import (
    CONTRADICTED,
    COPY,
    SAME_IMAGE,
    SAME_PART,
    Reviewed,
    split,
)


def part(
    at: int, image: str | None = None, number: str | None = None, decision: str = "good"
) -> Reviewed:
    """A reviewed part, received at a moment that is its id as well."""
    return Reviewed(at, image or f"image {at}", ".png", number, at, decision, (8, 8))


def test_the_latest_parts_are_compared_on() -> None:
    done = split([part(at) for at in range(10)])
    assert [one.part for one in done.learned] == [0, 1, 2, 3, 4, 5, 6]
    assert [one.part for one in done.compared] == [7, 8, 9]
    assert done.cut == 7
    assert not done.left_out


def test_no_part_number_and_no_image_is_on_both_sides() -> None:
    parts = [part(at) for at in range(5)] + [part(5, number="A"), part(6, image="x")]
    parts += [part(7, number="A"), part(8, image="x"), part(9)]
    done = split(parts)
    assert [one.part for one in done.compared] == [9]
    assert {one.part: why for one, why in done.left_out} == {7: SAME_PART, 8: SAME_IMAGE}


def test_what_is_learned_from_anyway_is_not_compared_on() -> None:
    parts = [part(at, number=f"n{at}") for at in range(10)]
    done = split(parts, images={"image 8"}, numbers={"n9"})
    assert [one.part for one in done.compared] == [7]


def test_compared_parts_are_later_than_all_that_the_present_model_learned_from() -> None:
    parts = [part(at) for at in range(10)]
    done = split(parts, after=8)
    assert [one.part for one in done.compared] == [9]
    assert [one.part for one in done.learned] == [*range(9)]
    assert not split(parts, after=9).compared
    assert split(parts, after=3).cut == split(parts).cut


def test_an_image_decided_both_ways_is_left_out() -> None:
    parts = [part(0, "x"), part(1, "x", decision="reject"), part(2), part(3)]
    done = split(parts)
    assert [why for _, why in done.left_out] == [CONTRADICTED] * 2


def test_a_copy_counts_once() -> None:
    done = split([part(0, "x"), part(1, "x"), part(2), part(3), part(4), part(5)])
    assert [(one.part, why) for one, why in done.left_out] == [(1, COPY)]


def test_a_single_part_is_compared_on() -> None:
    assert [one.part for one in split([part(3)]).compared] == [3]
    assert split([]).cut is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20),
            st.sampled_from("abcdefgh"),
            st.sampled_from(["1", "2", "3", None]),
            st.sampled_from(["good", "reject"]),
        ),
        max_size=30,
    )
)
def test_sides_never_meet(rows: list[tuple[int, str, str | None, str]]) -> None:
    parts = [
        Reviewed(n, image, ".png", number, at, decision, (8, 8))
        for n, (at, image, number, decision) in enumerate(rows)
    ]
    done = split(parts)
    learned, compared = done.learned, done.compared
    assert not {one.image for one in learned} & {one.image for one in compared}
    assert not ({one.number for one in learned} & {one.number for one in compared}) - {None}
    assert all(a.received_at < b.received_at for a in learned for b in compared)
    assert len(learned) + len(compared) + len(done.left_out) == len(parts)
