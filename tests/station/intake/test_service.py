"""The inspection service: what it promises under load, and while settings change."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import flawmap
from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import read_manifest, settings_id, write_manifest
from flawmap.inspection.defects import Filters
from flawmap.station.database.tables import Model, Product, SettingsVersion
from flawmap.station.intake import worker
from flawmap.station.intake.registration import parse_named
from flawmap.station.intake.submission import (
    Answer,
    BusyError,
    KeyReusedError,
    Submission,
    UnknownProductError,
)
from station.filling import add_product
from station.inspecting import LIMIT, Inspecting, draw_png, inspecting, wait_until


class Gate(threading.Event):
    """Inspection waits until this is set; `sizes` are those of the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []


@pytest.fixture
def line(tiny_run: Path, tmp_path: Path) -> Iterator[Inspecting]:
    with inspecting(tmp_path / "data", f"board={tiny_run}", queue_items=4) as line:
        yield line


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, judge = Gate(), worker.judge

    def held(inspector: Any, batch: Any) -> Any:
        gate.sizes.append(len(batch))
        assert gate.wait(LIMIT)
        return judge(inspector, batch)

    monkeypatch.setattr(worker, "judge", held)
    yield gate
    gate.set()


def test_a_full_queue_is_refused_at_once(line: Inspecting, gate: Gate) -> None:
    accepted = [line.intake.submit(Submission(draw_png(seed))) for seed in range(4)]
    begun = time.perf_counter()
    answer = line.send(draw_png(9))
    assert time.perf_counter() - begun < 1.0  # benchmarks/station.py measures it
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "queue is full" in answer.json()["detail"]
    gate.set()
    assert {future.result(LIMIT).part.verdict for future in accepted} <= {
        "good",
        "review",
        "reject",
    }
    assert line.send(draw_png(9)).status_code == 200
    assert len(line.parts()) == 5


def test_an_image_of_another_shape_than_the_region_gets_no_verdict(
    run_copy: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(run_copy)
    letterbox = manifest.preprocessing.model_copy(update={"fit": "letterbox"})
    write_manifest(run_copy, manifest.model_copy(update={"preprocessing": letterbox}))
    (tmp_path / "roi.png").write_bytes(draw_png(0, (96, 96)))
    flawmap.regions(run_copy, roi=tmp_path / "roi.png")
    with inspecting(tmp_path / "data", run_copy) as line:
        answer = line.send(draw_png(1, (40, 50)))
        assert answer.status_code == 422
        assert "50 x 40 pixels, and the region of interest" in answer.json()["detail"]
        assert line.send(draw_png(1, (50, 50))).status_code == 200
        assert [part.verdict is None for part in line.parts()] == [True, False]


def test_bytes_are_bounded_too(tiny_run: Path, tmp_path: Path, gate: Gate) -> None:
    with inspecting(tmp_path / "data", tiny_run, queue_megabytes=1) as line:
        line.intake.submit(Submission(bytes(900_000)))
        assert line.send(bytes(200_000)).status_code == 503
        gate.set()
    assert len(line.parts()) == 1


def test_a_batch_is_accepted_whole_or_not(line: Inspecting, gate: Gate) -> None:
    line.intake.submit(Submission(draw_png(0)))
    with pytest.raises(BusyError):
        line.intake.submit_all([Submission(draw_png(seed)) for seed in range(4)])
    gate.set()
    wait_until(lambda: line.intake.waiting == 0)
    assert len(line.parts()) == 1


def test_an_image_that_waits_too_long_ends_as_a_record(line: Inspecting, gate: Gate) -> None:
    first = line.intake.submit(Submission(draw_png(0)))
    wait_until(lambda: not line.intake._lines[1]._waiting)
    late = line.intake.submit(Submission(draw_png(1), deadline=0.05, number="late"))
    part = late.result(LIMIT).part
    assert part.error is not None
    assert part.error.startswith("Not inspected within")
    assert (part.verdict, part.has_image, part.number) == (None, True, "late")
    gate.set()
    assert first.result(LIMIT).part.verdict is not None


def test_http_says_504_for_it(line: Inspecting, gate: Gate) -> None:
    line.intake.submit(Submission(draw_png(0)))
    wait_until(lambda: not line.intake._lines[1]._waiting)
    answer = line.send(draw_png(1), deadline=0.05)
    assert answer.status_code == 504
    assert answer.json()["part"] == line.parts()[-1].id


def test_what_waits_goes_through_the_model_together(line: Inspecting, gate: Gate) -> None:
    futures = [line.intake.submit(Submission(draw_png(0)))]
    wait_until(lambda: line.intake._lines and not line.intake._lines[1]._waiting)  # at the gate
    futures += [line.intake.submit(Submission(draw_png(seed))) for seed in range(1, 4)]
    wait_until(lambda: all(item.is_decoded for item in line.intake._lines[1]._waiting))
    gate.set()
    answers = [future.result(LIMIT) for future in futures]
    assert gate.sizes == [1, 2, 1]  # the first; those that came meanwhile, a power of two
    assert all(answer.outcome is not None for answer in answers)


def test_a_failing_model_ends_as_a_record(
    line: Inspecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = line.intake.products.find("board").inspector.backend

    def fail(_self: Any, _images: Any) -> Any:
        raise RuntimeError("no memory")

    monkeypatch.setattr(type(backend), "__call__", fail)
    answer = line.send(draw_png(0))
    assert answer.status_code == 500
    assert "no memory" in line.parts()[0].error  # type: ignore[operator]
    monkeypatch.undo()
    assert line.send(draw_png(0)).status_code == 200


def test_a_failing_worker_ends_as_records(
    line: Inspecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(worker, "judge", fail)
    assert line.send(draw_png(0)).status_code == 500
    monkeypatch.undo()
    assert line.send(draw_png(0)).status_code == 200


def test_changed_settings_are_taken_over_and_noted(run_copy: Path, tmp_path: Path) -> None:
    with inspecting(tmp_path / "data", f"board={run_copy}") as line:
        before = line.send(draw_png(0)).json()["settings"]
        manifest = read_manifest(run_copy)
        changed = manifest.model_copy(update={"filters": Filters(min_area=7)})
        stop = threading.Event()

        def keep_sending() -> int:
            count = 0
            while not stop.is_set():
                assert line.send(draw_png(count % 3)).status_code == 200
                count += 1
            return count

        with ThreadPoolExecutor(2) as pool:
            senders = [pool.submit(keep_sending) for _ in range(2)]
            write_manifest(run_copy, changed)
            wait_until(lambda: line.parts()[-1].settings == settings_id(changed))
            stop.set()
        assert len(line.parts()) == 1 + sum(sender.result() for sender in senders)
        with line.station.database.read() as session:
            versions = session.scalars(select(SettingsVersion).order_by(SettingsVersion.number))
            assert [one.settings for one in versions] == [before, settings_id(changed)]
            assert session.scalars(select(Model.state)).all() == ["live"]


def test_a_new_model_is_taken_over(run_copy: Path, tmp_path: Path, tiny_run: Path) -> None:
    with inspecting(tmp_path / "data", f"board={run_copy}") as line:
        line.send(draw_png(0))
        other = tmp_path / "other"
        shutil.copytree(tiny_run, other)
        with line.station.database.write() as session:
            product = session.scalars(select(Product)).one()
            model = Model(
                product_id=product.id, run="ab", folder=str(other), state="live", created_at=1
            )
            session.add(model)
            session.flush()
            product.model_id = model.id
        line.intake.reload()
        source = line.intake.products.find("board").inspector.source
        assert source is not None
        assert source.folder == str(other)
        assert line.send(draw_png(0)).status_code == 200


def set_product(line: Inspecting, folder: Path | None = None, **values: Any) -> None:
    """Change the product, give it a model of this folder if so, and let the station reload."""
    with line.station.database.write() as session:
        product = session.scalars(select(Product)).one()
        for name, value in values.items():
            setattr(product, name, value)
        if folder is not None:
            model = Model(
                product_id=product.id, run="ab", folder=str(folder), state="live", created_at=1
            )
            session.add(model)
            session.flush()
            product.model_id = model.id
    line.intake.reload()


def test_a_product_brought_back_goes_on_with_its_new_model(
    tiny_run: Path, run_copy: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(run_copy)
    write_manifest(run_copy, manifest.model_copy(update={"filters": Filters(min_area=7)}))
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        before = line.send(draw_png(0)).json()["settings"]
        set_product(line, retired_at=1)
        assert line.send(draw_png(0)).status_code == 422
        set_product(line, retired_at=None)
        assert line.send(draw_png(0)).json()["settings"] == before
        set_product(line, run_copy)
        after = line.send(draw_png(0)).json()["settings"]
    assert after == settings_id(read_manifest(run_copy)) != before


def test_a_product_brought_back_before_its_first_model_inspects(
    tiny_run: Path, tmp_path: Path
) -> None:
    with inspecting(tmp_path / "data", deadline=2.0) as line:
        add_product(line.station.database)
        line.intake.reload()
        set_product(line, retired_at=1)
        set_product(line, retired_at=None)
        set_product(line, tiny_run)
        assert line.send(draw_png(0)).status_code == 200


def test_an_image_that_comes_while_products_are_reloaded_is_inspected(
    tiny_run: Path, tmp_path: Path
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}") as line:
        set_product(line, retired_at=1)
    with inspecting(tmp_path / "data") as line:
        with line.station.database.write() as session:
            session.scalars(select(Product)).one().retired_at = None
        line.intake.products.reload()  # the first half of the service's own reload
        assert line.send(draw_png(0)).status_code == 200


def test_an_image_of_a_product_that_is_retired_meanwhile_is_judged(
    line: Inspecting, gate: Gate
) -> None:
    accepted = line.intake.submit(Submission(draw_png(0)))
    set_product(line, retired_at=1)
    gate.set()
    assert accepted.result(LIMIT).part.verdict is not None


def test_the_product_is_named_or_follows_from_the_number(tiny_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with inspecting(data, f"left={tiny_run}", f"right={tiny_run}") as line:
        with line.station.database.write() as session:
            for product in session.scalars(select(Product)):
                product.rule = f"{product.name[0].upper()}-[0-9]+"
        line.intake.reload()
        names = {product.id: product.name for product in line.intake.products}
        sent = [{"product": "left"}, {"number": "R-17"}, {"number": "R-17", "product": "left"}]
        found = [names[line.send(draw_png(0), **texts).json()["product"]] for texts in sent]
        assert found == ["left", "right", "left"]
        for texts in ({}, {"number": "R-17x"}):
            answer = line.send(draw_png(0), **texts)
            assert answer.status_code == 422
            assert "left, right" in answer.json()["detail"]
    with inspecting(data) as line:  # without arguments: the products of the database
        assert line.send(draw_png(0), product="right").status_code == 200


def test_without_a_product_nothing_is_accepted(tmp_path: Path) -> None:
    with inspecting(tmp_path / "data") as line:
        answer = line.send(draw_png(0))
        assert answer.status_code == 422
        assert "train one" in answer.json()["detail"]


def test_a_product_whose_run_is_gone_does_not_stop_the_others(
    run_copy: Path, tiny_run: Path, tmp_path: Path
) -> None:
    with inspecting(tmp_path / "data", f"gone={run_copy}", f"here={tiny_run}"):
        pass
    (run_copy / "manifest.json").unlink()
    with inspecting(tmp_path / "data") as line:
        assert line.send(draw_png(0), product="here").status_code == 200
        answer = line.send(draw_png(0), product="gone")
        assert answer.status_code == 422
        assert "has no inspector" in answer.json()["detail"]
    with (
        pytest.raises(FlawmapError, match="not complete"),
        inspecting(tmp_path / "data", f"gone={run_copy}"),
    ):
        pass


def test_two_runs_for_one_product_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="NAME=RUN"),
        inspecting(tmp_path / "data", tiny_run, tiny_run),
    ):
        pass


def test_stopping_answers_what_was_accepted(tiny_run: Path, tmp_path: Path) -> None:
    with inspecting(tmp_path / "data", tiny_run) as line:
        futures = [line.intake.submit(Submission(draw_png(seed))) for seed in range(6)]
    assert all(future.done() and future.result().part.id for future in futures)
    with pytest.raises(BusyError, match="stops"):
        line.intake.submit(Submission(draw_png(0)))


def test_events_and_listeners_hear_of_stored_parts(line: Inspecting) -> None:
    heard: list[Answer] = []

    def fail(_answers: object) -> None:
        raise RuntimeError

    line.intake.on_judged += [fail, heard.extend]  # the first affects nobody
    with line.station.events.subscribe() as events:
        part = line.send(draw_png(0)).json()["part"]
        event = events.get(timeout=LIMIT)
    assert (event.kind, event.values["id"]) == ("part", part)
    wait_until(lambda: heard)
    assert heard[0].part.id == part


def test_a_key_of_another_image_is_refused_while_the_first_is_in_work(
    line: Inspecting, gate: Gate
) -> None:
    line.intake.submit(Submission(draw_png(0), key="k"))
    other = line.intake.submit(Submission(draw_png(1), key="k"))
    gate.set()
    with pytest.raises(KeyReusedError):
        other.result(LIMIT)


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [("a=b/c", "a", "b/c"), ("b/c", None, "b/c"), ("/x=y", None, "/x=y"), ("a=b=c", "a", "b=c")],
)
def test_names_stand_before_paths(text: str, name: str | None, path: str) -> None:
    assert parse_named(text) == (name, Path(path))


def test_an_unknown_product_is_named(line: Inspecting) -> None:
    with pytest.raises(UnknownProductError, match="Products: board"):
        line.intake.submit(Submission(b"", product=99))


def test_a_database_that_fails_for_a_while_loses_nothing(
    line: Inspecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    writer = line.station.writer
    store: Callable[..., Any] = writer.store
    failures = [OperationalError("", {}, Exception("it restarts"))] * 2

    def sometimes(parts: Any) -> Any:
        if failures:
            raise failures.pop()
        return store(parts)

    monkeypatch.setattr(writer, "store", sometimes)
    assert line.send(draw_png(0)).status_code == 200
    assert len(line.parts()) == 1
