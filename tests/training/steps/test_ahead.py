"""Batches drawn ahead are those drawn when asked for, and only the host's part is drawn."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from flawmap.methods.adps.config import PAPER
from flawmap.training.steps.ahead import Ahead, drawn_ahead
from flawmap.training.steps.batches import BatchMaker, Drawn
from training.tiny import CPU, tiny_images


@dataclasses.dataclass(frozen=True)
class Watched(BatchMaker):
    """Notes which batch is drawn in a thread, and which in the main one."""

    threads: list[tuple[int, bool]] = dataclasses.field(default_factory=list)

    def draw(self, step: int) -> Drawn:
        if step == 7:
            raise OSError("the disk is gone")
        aside = threading.current_thread() is not threading.main_thread()
        self.threads.append((step, aside))
        return super().draw(step)


@pytest.fixture
def maker() -> Watched:
    rng = np.random.default_rng(0)
    textures = rng.integers(0, 256, (5, 64, 64, 3), np.uint8)
    return Watched(tiny_images(9), textures, PAPER.anomalies, 4, "slight", "grey", 0, CPU)


def test_the_same_batches_in_any_order(maker: Watched):
    expected = {t: maker(t) for t in range(6)}
    maker.threads.clear()
    with ThreadPoolExecutor(1) as worker:
        ahead = Ahead(maker, worker)
        assert ahead.batch_size == 4
        for t in (2, 3, 4, 0, 1):  # a phase may start anywhere
            found = ahead(t)
            for name in ("clean", "corrupted", "mask"):
                assert torch.equal(getattr(found, name), getattr(expected[t], name))
    in_main = [step for step, aside in maker.threads if not aside]
    in_thread = [step for step, aside in maker.threads if aside]
    assert (in_main, in_thread) == ([2, 0], [3, 4, 5, 1, 2])


def test_what_goes_wrong_in_the_thread_is_raised_by_its_own_batch(maker: Watched):
    with ThreadPoolExecutor(1) as worker:
        ahead = Ahead(maker, worker)
        ahead(6)
        with pytest.raises(OSError, match="disk is gone"):
            ahead(7)


def test_a_thread_is_for_a_gpu(maker: Watched):
    with drawn_ahead(maker) as batches:
        assert batches is maker
    with drawn_ahead(dataclasses.replace(maker, device=torch.device("cuda"))) as batches:
        assert isinstance(batches, Ahead)
