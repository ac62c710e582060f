"""Drawn defects: what is stored, what is refused, and their masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flawmap.station.context import Station
from flawmap.station.database.tables import DrawnDefect
from flawmap.station.refusals import RefusedError
from flawmap.station.review.decisions import history, undo
from flawmap.station.review.drawing import (
    Drawing,
    defect_types,
    draw,
    drawn_defects,
    erase,
    mask_of,
)
from station.filling import add_user, fill

SQUARE = {"points": [(10, 20), (30, 20), (30, 50), (10, 50)]}


def _drawing(geometry: dict[str, Any], type_: str = "scratch") -> Drawing:
    shape = "polygon" if "points" in geometry else "mask"
    return Drawing.model_validate({"type": type_, "shape": shape, "geometry": geometry})


@pytest.fixture
def user(station: Station) -> int:
    """An operator, and two parts of 256 by 256."""
    fill(station.database, 2)
    return add_user(station.database, "anna", "operator")


def test_a_polygon_is_stored_with_its_area(station: Station, user: int) -> None:
    with station.database.write() as session:
        row = draw(session, 1, user, _drawing(SQUARE, "  deep   scratch "))
        mask = mask_of(drawn_defects(session, 1), (256, 256))
    assert row.type == "deep scratch"
    assert row.area == mask.sum() == 20 * 30
    assert mask[20:50, 10:30].all()


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_comes_back_from_its_runs(station: Station, user: int, seed: int) -> None:
    expected = np.random.default_rng(seed).random((256, 256)) > 0.7
    steps = np.flatnonzero(np.diff(np.r_[False, expected.ravel(), False]))
    runs = np.stack([steps[::2], steps[1::2] - steps[::2]], 1).ravel().tolist()
    with station.database.write() as session:
        row = draw(session, 1, user, _drawing({"size": [256, 256], "runs": runs}))
        mask = mask_of(drawn_defects(session, 1), (256, 256))
    assert (mask == expected).all()
    assert row.area == expected.sum()


@pytest.mark.parametrize(
    "geometry",
    [
        {"points": [(0, 0), (1, 1)]},
        {"points": [(0, 0), (1, 1), (float("nan"), 3)]},
        {"points": [(0, 0), (1, 1), (-4, 3)]},
        {"size": [9, 9], "runs": [0]},
        {"size": [9, 9], "runs": [0, 0]},
        {"size": [9, 9], "runs": [-1, 3]},
        {"size": [9, 9], "runs": [80, 2]},
        {"size": [9, 9], "runs": [0, 5, 4, 2]},
        {"size": [9, 9], "runs": [2**70, 2**70]},
        {"size": [9, 9]},
    ],
)
def test_geometry_that_is_refused(geometry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _drawing(geometry)


def test_a_drawing_must_lie_in_the_image(station: Station, user: int) -> None:
    outside = {"points": [(300, 300), (310, 300), (310, 310)]}
    other = {"size": [100, 100], "runs": [0, 5]}
    with station.database.write() as session:
        with pytest.raises(RefusedError, match="covers no pixel"):
            draw(session, 1, user, _drawing(outside))
        with pytest.raises(RefusedError, match="mask is for an image"):
            draw(session, 1, user, _drawing(other))


def test_removal_and_undo_keep_all_rows(station: Station, user: int) -> None:
    with station.database.write() as session:
        row = draw(session, 1, user, _drawing(SQUARE))
        erase(session, 1, row.id, user)
        assert not drawn_defects(session, 1)
        with pytest.raises(RefusedError, match="has no drawn defect"):
            erase(session, 1, row.id, user)
        undo(session, user)  # the removal
        assert [one.id for one in drawn_defects(session, 1)] == [row.id]
        undo(session, user)  # the drawing
        assert not drawn_defects(session, 1)
        assert session.get_one(DrawnDefect, row.id).type == "scratch"
        acts = [act.action for act in history(session, 1)]
    assert acts == ["draw", "erase", "undo", "undo"]


def test_types_by_use(station: Station, user: int) -> None:
    with station.database.write() as session:
        for part_id, type_ in ((1, "dent"), (1, "scratch"), (2, "scratch")):
            draw(session, part_id, user, _drawing(SQUARE, type_))
        assert defect_types(session) == [("scratch", 2), ("dent", 1)]
        assert defect_types(session, 99) == []
