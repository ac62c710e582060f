"""Which inspector an image gets: alone all cores, at once with others one core."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flawmap.inspection.settings import LiveInspector
from flawmap.station.config import StationConfig
from flawmap.station.intake import pace as module
from flawmap.station.intake.pace import Pace, batch_of, workers_of
from flawmap.station.intake.products import LiveProduct
from station.inspecting import draw_png, wait_until


@pytest.fixture
def pace(tiny_run: Path) -> Pace:
    live = LiveInspector(tiny_run, {}, lambda text: None)
    return Pace(LiveProduct(1, "board", folder=str(tiny_run), live=live), narrows=True)


def test_two_at_once_have_one_core_each_and_the_same_bits(
    pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pace.turn() as alone, pace.turn() as second:
        assert second is alone  # the other one is loaded meanwhile
    wait_until(lambda: pace._narrow is not None)
    with pace.turn(), pace.turn() as narrow:
        assert narrow.backend is not alone.backend
    with pace.turn() as soon_after:
        assert soon_after is narrow
    monkeypatch.setattr(module, "_TOGETHER", 0.0)
    with pace.turn() as later:
        assert later is alone
    assert narrow.inspect(draw_png(1)) == alone.inspect(draw_png(1))


def test_the_end_of_the_process_waits_for_a_model_that_is_loaded(
    pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers are daemons, and a thread is one if the thread that starts it is."""
    found: list[bool] = []
    monkeypatch.setattr(pace, "_load", lambda _: found.append(threading.current_thread().daemon))

    def work() -> None:
        with pace.turn(), pace.turn():
            pass

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join()
    wait_until(lambda: bool(found))
    assert found == [False]


@pytest.mark.parametrize(
    ("settings", "workers", "batch"),
    [
        ({}, 4, 1),
        ({"threads": 1}, 4, 1),
        ({"threads": 3}, 1, 1),
        ({"threads": 8}, 1, 1),
        ({"device": "cuda"}, 1, 8),
        ({"workers": 2, "batch": 3}, 2, 3),
    ],
)
def test_numbers(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, int], workers: int, batch: int
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    config = StationConfig(data=Path("x"), **settings)  # type: ignore[arg-type]
    assert (workers_of(config), batch_of(config)) == (workers, batch)
