"""Random numbers of known defects: which, where, how turned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flawmap.synthesis.known_defects.draws import Freedom, KnownConfig, KnownDraws, draw_known

FREE, PLACED = Freedom(placed=False, turned=False), Freedom(placed=True, turned=False)
TYPES = np.array([0] * 20 + [1] * 2 + [2])
PIECES = np.array([*range(0, len(TYPES), 2), 0, 0, 4])  # every other one has a mask, two have more
CENTRES = np.random.default_rng(5).uniform(0.2, 0.8, (len(PIECES), 2)).astype(np.float32)


def drawn(count: int = 3000, freedom: Freedom = FREE, **changes: Any) -> KnownDraws:
    rng = np.random.default_rng(0)
    return draw_known(rng, count, TYPES, PIECES, CENTRES, freedom, KnownConfig(**changes))


def test_every_type_is_equally_likely_however_few_examples_it_has():
    defect = drawn().defect
    shares = np.bincount(TYPES[defect], minlength=3) / len(defect)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.04)  # four standard deviations are .034
    within = np.bincount(defect[TYPES[defect] == 0], minlength=20)
    assert within.min() > 0
    assert np.bincount(defect[TYPES[defect] == 1])[20:].min() > 400


def test_shares_are_those_of_the_configuration_and_what_has_no_mask_is_never_pasted():
    draws = drawn(share=0.25, pasted=1.0)
    assert draws.shown.mean() == pytest.approx(0.25, abs=0.04)
    assert (draws.pasted == np.isin(draws.defect, PIECES)).all()
    assert not drawn(pasted=0.0).pasted.any()
    assert not drawn(share=0.0).shown.any()
    assert drawn(share=1.0).shown.all()


def test_a_piece_is_one_of_its_defect():
    draws = drawn()
    has = draws.piece >= 0
    assert (PIECES[draws.piece[has]] == draws.defect[has]).all()
    assert not np.isin(draws.defect[~has], PIECES).any()
    of_first = np.bincount(draws.piece[draws.defect == 0], minlength=len(PIECES))
    assert {*np.flatnonzero(of_first)} == {*np.flatnonzero(PIECES == 0)}


def test_where_parts_lie_alike_a_defect_stays_near_its_place_as_often_as_configured():
    draws = drawn(freedom=PLACED, anywhere=0.0)
    has = draws.piece >= 0
    moved = np.abs(draws.places[has] - CENTRES[draws.piece[has]][:, None])
    assert 0.035 < moved.max() <= 0.0401
    assert np.abs(draws.degrees).max() <= 5
    assert not draws.flipped.any()
    assert draws.scale.min() > 0.9
    assert draws.scale.max() < 1.1
    some = drawn(freedom=PLACED, anywhere=0.3)
    assert (np.abs(some.degrees) > 5).mean() == pytest.approx(0.3, abs=0.05)
    assert some.flipped.any(1).mean() == pytest.approx(0.3 * 0.75, abs=0.04)


def test_elsewhere_it_may_lie_anywhere_and_turns_as_far_as_parts_do():
    draws = drawn()
    assert draws.places.min() < 0.02
    assert draws.places.max() > 0.98
    assert 14 < np.abs(draws.degrees).max() <= 15
    assert draws.flipped.mean(0) == pytest.approx([0.5, 0.5], abs=0.05)
    low, high = KnownConfig().scale
    assert low <= draws.scale.min() < draws.scale.max() <= high
    turned = drawn(freedom=Freedom(placed=False, turned=True))
    assert 175 < np.abs(turned.degrees).max() <= 180


def test_defective_images_themselves_turn_as_their_good_ones_do():
    assert 4.5 < np.abs(drawn().turns).max() <= 5
    assert 175 < np.abs(drawn(freedom=Freedom(placed=False, turned=True)).turns).max() <= 180


def test_without_any_mask_nothing_is_pasted():
    none = np.empty(0, np.int64)
    rng = np.random.default_rng(0)
    centres = np.empty((0, 2), np.float32)
    draws = draw_known(rng, 50, TYPES, none, centres, PLACED, KnownConfig(share=1, pasted=1))
    assert draws.shown.all()
    assert not draws.pasted.any()


def test_rows_select_samples():
    draws = drawn(8)
    some = draws.rows(np.array([5, 1]))
    assert (some.defect == draws.defect[[5, 1]]).all()
    assert some.places.shape == (2, *draws.places.shape[1:])


@pytest.mark.parametrize("changes", [{"scale": (2, 1)}, {"opacity": (0, 1)}, {"share": 1.5}])
def test_ranges_that_make_no_sense_are_refused(changes: dict[str, Any]):
    with pytest.raises(ValidationError):
        KnownConfig(**changes)
