"""The station under load on this machine: latency, throughput, refusals, memory.

``python benchmarks/station.py RUN IMAGES`` starts a real server, sends it PNG files of IMAGES over
the loopback, each as a part of its own, and compares with what ``bench latency`` times and
with ``predict`` of the same run. It writes ``benchmarks/results/station.json``; ``--only`` measures
some of it anew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from record import RESULTS, ROOT, write_result
from sqlalchemy import func, select

import flawmap
from flawmap.benchmark.latency import _timed
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Part

sys.path.insert(0, str(ROOT / "tests"))

from station.process import Sender, Server, prepare, start, unique

WHAT = ("latency", "throughput", "refusal", "memory")
ROUNDS = 3  # of both sides, in turn
ONE_BY_ONE = 100  # images of a round of latency
CLIENTS = 16
TOGETHER = 240  # images of a round of throughput
HELD, REFUSALS = 64, 200
PARTS = 10_000


class Bench:
    """A run, the bytes of images, and the numbers that make each upload unique."""

    def __init__(self, run: Path, images: Sequence[Path], options: Sequence[str]) -> None:
        self.run, self.paths, self.options = run, images, options
        words = dict(zip(options[::2], options[1::2], strict=True))
        self.runtime: Any = {name.removeprefix("--"): value for name, value in words.items()}
        self.inspector = flawmap.Inspector.load(run, **self.runtime)
        self.files = [path.read_bytes() for path in images]
        self._numbers = itertools.count()

    def image(self) -> bytes:
        """Return the file of an image that was not sent before."""
        number = next(self._numbers)
        return unique(self.files[number % len(self.files)], number)

    @contextmanager
    def server(self) -> Iterator[tuple[Server, Path]]:
        """Run a server on a new folder beside the checkout, which is on a real disk.

        The folders of its files are there, as after the first thousand parts.
        """
        data = Path(tempfile.mkdtemp(prefix=".station-", dir=ROOT))
        for kind in ("images", "maps"):
            for start_of_digest in range(256):
                (data / kind / f"{start_of_digest:02x}").mkdir(parents=True)
        server = start(data, [f"bench={self.run}"], prepare(data), *self.options, one_core=False)
        try:
            yield server, data
        finally:
            server.end()
            shutil.rmtree(data)


def measure_latency(bench: Bench) -> dict[str, Any]:
    """Compare the time of a request on an idle server with that of an inspection, in turn."""
    over_http, alone, detail = [], [], []
    with bench.server() as (server, data):
        for _ in range(ROUNDS):
            sender = Sender(server)
            for _ in range(20):
                sender.send(bench.image())
            bench_latency(bench)
            times = [sender.send(bench.image())[2] for _ in range(ONE_BY_ONE)]
            over_http.append(1000 * statistics.median(times))
            detail.extend(times)
            sender.close()
            alone.append(bench_latency(bench))
        own = stored_times(data) | {"disk_flush_p50_ms": flush_time(data)}
    return {
        "http_p50_ms": round(statistics.median(over_http), 2),
        "http_p90_ms": round(1000 * float(np.percentile(detail, 90)), 2),
        "http_p99_ms": round(1000 * float(np.percentile(detail, 99)), 2),
        "bench_latency_p50_ms": round(statistics.median(alone), 2),
        "over_ms": round(
            statistics.median(a - b for a, b in zip(over_http, alone, strict=True)), 2
        ),
        "rounds_ms": {
            "http": np.round(over_http, 2).tolist(),
            "alone": np.round(alone, 2).tolist(),
        },
        **own,
    }


def bench_latency(bench: Bench) -> float:
    """Return the median milliseconds from bytes to verdict, as `flawmap bench latency` does."""
    times = _timed(bench.inspector, bench.files, 1, ONE_BY_ONE)
    return float(np.median(times.sum(1)))


def flush_time(folder: Path) -> float:
    """Return the median milliseconds in which the disk makes a small change permanent.

    Each answer waits for one, as an answered part must survive a power cut.
    """
    times = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(100):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return round(1000 * statistics.median(times), 2)


def stored_times(data: Path) -> dict[str, float]:
    """Return medians of what the parts themselves say."""
    station = Station.open(StationConfig(data=data))
    with station.database.read() as session:
        rows = session.execute(select(Part.waited_ms, Part.total_ms, Part.record)).all()
    station.database.close()
    return {
        "waited_p50_ms": round(statistics.median(row.waited_ms for row in rows), 2),
        "verdict_p50_ms": round(statistics.median(row.total_ms for row in rows), 2),
        "inspection_p50_ms": round(statistics.median(r.record["milliseconds"] for r in rows), 2),
    }


def measure_throughput(bench: Bench) -> dict[str, Any]:
    """Compare images per second of several clients with those of `predict`, in turn."""
    served, predicted, times = [], [], []
    with bench.server() as (server, data):
        send_together(server, bench, CLIENTS * 2, CLIENTS)
        for _ in range(ROUNDS):
            found, seconds = send_together(server, bench, TOGETHER, CLIENTS)
            served.append(TOGETHER / seconds)
            times.extend(found)
            predicted.append(predict_rate(bench))
        stored = count_stored(data)
    assert stored["parts"] == stored["images"] == stored["maps"], stored
    ratios = [a / b for a, b in zip(served, predicted, strict=True)]
    return {
        "clients": CLIENTS,
        "images_per_s": round(statistics.median(served), 2),
        "predict_images_per_s": round(statistics.median(predicted), 2),
        "share": round(statistics.median(ratios), 3),
        "rounds": {
            "served": np.round(served, 2).tolist(),
            "predict": np.round(predicted, 2).tolist(),
        },
        "p50_ms": round(1000 * statistics.median(times), 1),
        "p99_ms": round(1000 * float(np.percentile(times, 99)), 1),
        "stored": stored,
    }


def send_together(
    server: Server, bench: Bench, count: int, clients: int
) -> tuple[list[float], float]:
    """Send images from several clients; return seconds of each, and of all."""
    images = [bench.image() for _ in range(count)]
    waiting, times, lock = iter(images), [], threading.Lock()

    def work() -> None:
        sender = Sender(server)
        while True:
            with lock:
                data = next(waiting, None)
            if data is None:
                break
            status, answer, seconds = sender.send(data)
            assert status == 200, answer
            times.append(seconds)
        sender.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - begun


def predict_rate(bench: Bench) -> float:
    """Return images per second of `predict` on as many files, once its workers have started."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index in range(TOGETHER):
            paths.append(Path(folder) / f"{index}.png")
            paths[-1].write_bytes(bench.files[index % len(bench.files)])
        marks: list[float] = []
        flawmap.predict(
            bench.run, [folder], json_file=Path(folder) / "lines.jsonl", keep=False,
            show=lambda record, total: marks.append(time.perf_counter()), **bench.runtime,
        )  # fmt: skip
        return (len(marks) - 1) / (marks[-1] - marks[0])


def count_stored(data: Path) -> dict[str, int]:
    """Return how many parts, images and maps a station has."""
    station = Station.open(StationConfig(data=data))
    with station.database.read() as session:
        parts = session.scalar(select(func.count()).select_from(Part).where(Part.verdict != ""))
    station.database.close()
    images = sum(1 for _ in (data / "images").rglob("*.png"))
    return {
        "parts": parts or 0,
        "images": images,
        "maps": sum(1 for _ in (data / "maps").rglob("*.png")),
    }


def measure_refusal(bench: Bench) -> dict[str, Any]:
    """Time the answers of a full queue: one client asks while another process keeps it full."""
    times: list[float] = []
    accepted = 0
    with bench.server() as (server, _):
        send_together(server, bench, CLIENTS, CLIENTS)
        context = multiprocessing.get_context("fork")  # its threads share no lock with the probe
        stop = context.Event()
        filling = context.Process(target=keep_full, args=(server, bench.files, stop))
        filling.start()
        probe, images = Sender(server), (unique(bench.files[0], -n) for n in itertools.count(1))
        end = time.monotonic() + 60
        while len(times) < REFUSALS and time.monotonic() < end:
            status, _, seconds = probe.send(next(images))
            if status == 503:
                times.append(seconds)
            else:
                accepted += 1
            time.sleep(0.02)
        stop.set()
        filling.join()
        probe.close()
    return {
        "clients": HELD + 5,
        "refused": len(times),
        "accepted_between": accepted,
        "p50_ms": round(1000 * statistics.median(times), 2),
        "p90_ms": round(1000 * float(np.percentile(times, 90)), 2),
        "max_ms": round(1000 * max(times), 2),
    }


def keep_full(server: Server, files: Sequence[bytes], stop: Any) -> None:
    """Send images from more clients than the queue holds, until stopped."""
    numbers = itertools.count(10**6)

    def work() -> None:
        sender = Sender(server)
        while not stop.is_set():
            number = next(numbers)
            if sender.send(unique(files[number % len(files)], number))[0] == 503:
                time.sleep(0.05)
        sender.close()

    threads = [threading.Thread(target=work) for _ in range(HELD + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure_memory(bench: Bench) -> dict[str, Any]:
    """Follow the server's memory over many parts from several clients."""
    present = {}
    with bench.server() as (server, data):
        for done in range(0, PARTS, 500):
            send_together(server, bench, 500, CLIENTS)
            peak, present[str(done + 500)] = server.peak_and_present_mb()
        stored = count_stored(data)
    values = list(present.values())
    return {
        "parts": stored["parts"],
        "peak_mb": round(peak),
        "present_mb": {key: round(value) for key, value in present.items()},
        "growth_mb": round(statistics.mean(values[-4:]) - statistics.mean(values[2:6]), 1),
    }


MEASURES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "latency": measure_latency,
    "throughput": measure_throughput,
    "refusal": measure_refusal,
    "memory": measure_memory,
}


def main() -> None:
    """Measure, and keep earlier results of what is not measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--only", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--backend")
    parser.add_argument("--precision")
    arguments = parser.parse_args()
    given = {"--backend": arguments.backend, "--precision": arguments.precision}
    options = [word for name, value in given.items() if value for word in (name, value)]
    bench = Bench(arguments.run, sorted(arguments.images.rglob("*.png"))[:64], options)
    name = "_".join(["station", *filter(None, given.values())])
    path = RESULTS / f"{name}.json"
    measured = json.loads(path.read_text()) if path.exists() else {}
    kept = {one: measured[one] for one in WHAT if one in measured}
    image = {"size": [256, 256], "bytes": round(statistics.mean(map(len, bench.files)))}
    for one in arguments.only:
        kept[one] = MEASURES[one](bench)
        write_result(name, image=image, **kept)


if __name__ == "__main__":
    main()
