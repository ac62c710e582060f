"""The choice of parts that teach most, on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from flawmap.station.parts.pattern import pattern_of
from flawmap.station.review.teaching import choose, described, promise


def test_a_pattern_has_the_peak_of_each_cell() -> None:
    anomaly_map = np.zeros((30, 50), np.float32)
    anomaly_map[29, 49] = 4.0
    anomaly_map[0, 0] = 1.0
    cells = np.frombuffer(pattern_of(anomaly_map), np.uint8).reshape(8, 8)
    assert cells[7, 7] == 255
    assert cells[0, 0] == 64
    assert (cells > 0).sum() == 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (8, 8)])
def test_small_and_empty_maps_have_patterns(shape: tuple[int, int]) -> None:
    assert pattern_of(np.zeros(shape, np.float32)) == bytes(64)
    assert max(pattern_of(np.ones(shape, np.float32))) == 255


def test_descriptors_have_length_one_or_nothing() -> None:
    found = described([bytes(range(64)), None, bytes(64)])
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 0, 0])


def test_rejected_parts_promise_most() -> None:
    p_values, scores = np.array([0.01, 0.005, 0.02, 1.0]), np.array([1.0, 9.0, 1.0, 1.0])
    assert promise(p_values, 0.01, scores, 1.0).tolist() == [
        1.0,
        1.0,
        pytest.approx(1 / (1 + np.log(2))),
        pytest.approx(1 / (1 + np.log(100))),
    ]
    lower = promise(p_values[2:3], 0.01, np.array([0.5]), 1.0)
    assert lower[0] == pytest.approx(1 / (1 + 2 * np.log(2)))
    assert promise(p_values[:1], 0.01, np.array([0.5]), None)[0] == 1.0
    assert 0.0 < promise(np.array([1.0]), 0.01, np.array([0.0]), 1.0)[0] < 0.1


def brute_force(promises: np.ndarray, queued: np.ndarray, reviewed: np.ndarray) -> list[int]:
    """The same choice, one distance at a time."""
    chosen: list[int] = []
    while len(chosen) < len(queued):
        best, most = -1, -1.0
        for index in range(len(queued)):
            if index in chosen:
                continue
            known = [*reviewed, *(queued[i] for i in chosen)]
            near = [float(np.linalg.norm(queued[index] - one)) / 2**0.5 for one in known]
            gain = promises[index] * (0.05 + min([1.0, *near]))
            if gain > most + 1e-9:
                best, most = index, gain
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patterns = [rng.integers(0, 256, 64, np.uint8).tobytes() for _ in range(12)]
    queued, reviewed = described(patterns[:9]), described(patterns[9 : 9 + seed])
    promises = rng.uniform(0.2, 1.0, len(queued))
    assert choose(promises, queued, reviewed, 20) == brute_force(promises, queued, reviewed)


def test_an_empty_queue_has_no_choice() -> None:
    assert choose(np.empty(0), described([]), described([]), 3) == []
