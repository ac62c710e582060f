"""Every image gets one record, in order, whatever the workers do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from flawmap import FlawmapError, UsageError
from flawmap.inspection.many.crew import LOST, Crew, Message
from flawmap.inspection.many.jobs import Job
from flawmap.inspection.many.schedule import Schedule
from flawmap.inspection.record import InspectionRecord
from inspection.records import make_record

JOBS = [Job(f"{n}.png") for n in range(100)]


class FakeCrew(Crew):
    """Workers that answer in a random order, and die at the images of ``deadly`` or by chance."""

    def __init__(self, size: int = 3, deadly: Sequence[int] = (), chance: float = 0.0) -> None:
        self.size, self._deadly, self._chance = size, set(deadly), chance
        self._random = random.Random(0)
        self._started = 0
        self._messages: dict[int, list[Message]] = {}
        self.inspected: list[int] = []

    def start(self) -> int:
        number, self._started = self._started, self._started + 1
        self._messages[number] = [(number, "ready", self.like().to_dict())]
        return number

    def like(self) -> InspectionRecord:
        return make_record(path="").with_error("not inspected")

    def submit(self, worker: int, chunk: Sequence[tuple[int, Job]]) -> None:
        if worker not in self._messages:
            return
        for index, job in chunk:
            if index in self._deadly or self._random.random() < self._chance:
                self._messages[worker].append((worker, LOST, "it was killed"))
                return
            self.inspected.append(index)
            record = make_record(path=job.source).to_dict()
            self._messages[worker].append((worker, "done", [index, record]))
        self._messages[worker].append((worker, "end", None))

    def wait(self) -> list[Message]:
        worker = self._random.choice([w for w, waiting in self._messages.items() if waiting])
        message = self._messages[worker].pop(0)
        if message[1] == LOST:
            del self._messages[worker]
        return [message]

    def close(self, *, finished: bool) -> list[Message]:
        return []


def paths(records: Sequence[InspectionRecord]) -> list[str | None]:
    return [record.path for record in records]


ALL: list[Any] = [job.source for job in JOBS]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
@pytest.mark.parametrize("workers", [1, 4])
def test_records_come_in_the_order_of_the_images(workers: int, size: int) -> None:
    crew = FakeCrew(workers)
    assert paths(list(Schedule(crew, JOBS, size))) == ALL
    assert sorted(crew.inspected) == list(range(100))


def test_the_images_of_a_lost_worker_are_inspected_by_another() -> None:
    records = list(Schedule(FakeCrew(chance=0.05), JOBS, 8))
    assert paths(records) == ALL
    assert not any(record.failed for record in records)


def test_an_image_that_ends_every_worker_gets_an_error_and_the_rest_a_verdict() -> None:
    crew = FakeCrew(deadly=[0, 13, 14, 99])
    records = list(Schedule(crew, JOBS, 8))
    assert paths(records) == ALL
    failed = {record.path: record.error for record in records if record.failed}
    assert list(failed) == ["0.png", "13.png", "14.png", "99.png"]
    assert failed["13.png"] == "13.png: every process that inspects it ends (it was killed)"
    assert crew._started < 20, "a bounded number of workers for each such image"


def test_workers_that_keep_ending_end_the_work() -> None:
    with pytest.raises(FlawmapError, match="fewer --workers"):
        list(Schedule(FakeCrew(deadly=range(100)), JOBS, 8))


def test_workers_that_cannot_start_end_the_work() -> None:
    class Stillborn(FakeCrew):
        def start(self) -> int:
            number = super().start()
            self._messages[number] = [(number, LOST, "its exit status is 1")]
            return number

    with pytest.raises(FlawmapError, match="its exit status is 1"):
        list(Schedule(crew := Stillborn(), JOBS, 8))
    assert crew._started < 10


@pytest.mark.parametrize(("wrong", "kind"), [(False, FlawmapError), (True, UsageError)])
def test_the_failure_of_a_worker_is_that_of_the_call(wrong: bool, kind: type[Exception]) -> None:
    class Full(FakeCrew):
        def submit(self, worker: int, chunk: Sequence[tuple[int, Job]]) -> None:
            self._messages[worker].append((worker, "failed", ["The disk is full.", wrong]))

    with pytest.raises(kind, match=r"^The disk is full\.$"):
        list(Schedule(Full(), JOBS, 8))


def test_a_run_that_changes_in_between_ends_the_work() -> None:
    class Changing(FakeCrew):
        def like(self) -> InspectionRecord:
            changed = {"settings": f"{self._started // 4:016}"}
            return super().like().model_copy(update=changed)

    with pytest.raises(FlawmapError, match="The run folder changed"):
        list(Schedule(Changing(chance=0.2), JOBS, 8))


def test_results_far_ahead_of_an_unfinished_image_are_not_gathered() -> None:
    """Memory stays bounded while one image takes for ever."""

    class Stuck(FakeCrew):
        ahead = 0

        def wait(self) -> list[Message]:
            for number, messages in self._messages.items():
                if messages and (number or messages[0][1] == "ready"):
                    return [messages.pop(0)]
            self.ahead = self.ahead or len(self.inspected)
            return [self._messages[0].pop(0)]

    many = [Job(str(n)) for n in range(2000)]
    crew = Stuck(2)
    assert len(list(Schedule(crew, many, 2))) == 2000
    assert 100 < crew.ahead < 200


def test_what_was_finished_when_the_work_ends_early_comes_in_order_and_once() -> None:
    crew = FakeCrew(3)
    schedule, found = Schedule(crew, JOBS, 8), list[InspectionRecord]()
    for record in schedule:
        found.append(record)
        schedule.advance()
        if len(found) == 20:
            break
    found += schedule.rest([m for waiting in crew._messages.values() for m in waiting])
    numbers = [int((record.path or "").removesuffix(".png")) for record in found]
    assert numbers == sorted(set(crew.inspected))
    assert len(numbers) > 20
