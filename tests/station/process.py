"""A real `flawmap serve` in a process of its own, and programs that send it images."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Part
from station.inspecting import add_key

_ADDRESS = re.compile(r"http://([0-9.]+):([0-9]+)")
_START = 60.0  # seconds


@dataclass
class Server:
    """A running server: its process, where it listens, and headers with a key."""

    process: subprocess.Popen[str]
    host: str
    port: int
    headers: dict[str, str]

    def kill(self) -> None:
        """End it as a power cut would, and wait."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Stop it as a service manager does; return the exit status."""
        self.process.terminate()
        return self.process.wait(_START)

    def peak_and_present_mb(self) -> tuple[float, float]:
        """Memory of the process in MB: the most so far, and now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = dict(re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", text))
        return int(found["VmHWM"]) / 1000, int(found["VmRSS"]) / 1000


def prepare(data: Path) -> dict[str, str]:
    """Make a station's database; return headers with a key of it."""
    station = Station.open(StationConfig(data=data))
    headers = add_key(station)
    station.database.close()
    return headers


def start(
    data: Path, runs: Sequence[str], headers: dict[str, str], *options: str, one_core: bool = True
) -> Server:
    """Start a server and wait until it listens."""
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if one_core else {})
    process = subprocess.Popen(
        [sys.executable, "-m", "flawmap", "serve", *runs, "--data", str(data), "--port", "0",
         *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if match := _ADDRESS.search(line):
            threading.Thread(target=process.stdout.read, daemon=True).start()  # never blocks it
            return Server(process, match[1], int(match[2]), headers)
    raise AssertionError("".join(said))


class Sender:
    """A client with one connection that stays open."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=60)

    def send(self, data: bytes, key: str | None = None) -> tuple[int, dict[str, Any], float]:
        """Send an image; return status, answer and seconds. Raises OSError or HTTPException."""
        headers = self._server.headers | {"Content-Type": "image/png"}
        if key is not None:
            headers["Idempotency-Key"] = key
        begun = time.perf_counter()
        self._connection.request("POST", "/api/v1/inspect", data, headers)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - begun
        if answer.status == 503:
            assert answer.headers["Retry-After"], "a busy station says when to come again"
        return answer.status, json.loads(body), seconds

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def unique(data: bytes, number: int) -> bytes:
    """Return a PNG of the same pixels and another digest: a text chunk holds the number."""
    text = b"tEXtnumber\0" + str(number).encode()
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return data[:-12] + chunk + data[-12:]  # before IEND


@dataclass
class Load:
    """Programs that send images until stopped; `answered`: part ids by key."""

    answered: dict[str, int] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    sent: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the image by key."""


@contextlib.contextmanager
def load(server: Server, images: Sequence[bytes], senders: int, first: int = 0) -> Iterator[Load]:
    """Send images from several threads while the block runs; an answer counts once read whole."""
    found, stop, lock = Load(), threading.Event(), threading.Lock()
    numbers = iter(range(first, first + 10**9))

    def work() -> None:
        sender = Sender(server)
        while not stop.is_set():
            with lock:
                number = next(numbers)
            data, key = unique(images[number % len(images)], number), f"part {number}"
            found.sent[key] = hashlib.sha256(data).hexdigest()
            try:
                status, answer, _ = sender.send(data, key)
            except (OSError, http.client.HTTPException, ValueError):
                found.broken += 1
                return
            with lock:
                found.statuses[status] += 1
                if "part" in answer:
                    found.answered[key] = answer["part"]
        sender.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(senders)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def kill_under_load(
    data: Path, run: Path, images: Sequence[bytes], kills: int, seed: int, senders: int = 4
) -> dict[str, int]:
    """Kill a server `kills` times while images are sent; check what is in the database each time.

    Returns counts. Raises AssertionError if an answered part is missing or there twice, or a part
    is there by half.
    """
    rng, headers = random.Random(seed), prepare(data)
    counts = Counter(kills=kills)
    answered: dict[str, int] = {}
    sent: dict[str, str] = {}
    for index in range(kills):
        server = start(data, [f"board={run}"] if index == 0 else [], headers)
        try:
            with load(server, images, senders, first=index * 1_000_000) as found:
                until = time.monotonic() + 30.0
                while not found.answered and time.monotonic() < until:
                    time.sleep(0.01)
                time.sleep(rng.uniform(0.0, 1.2))
                server.kill()
        finally:
            server.kill()
        answered |= found.answered
        sent |= found.sent
        counts["cut off"] += found.broken
    counts.update(answered=len(answered), **check_stored(data, answered, sent))
    server = start(data, [], headers)  # what was sent and not answered may be sent again
    assert server.end() == 0
    return dict(counts)


def check_stored(data: Path, answered: dict[str, int], sent: dict[str, str]) -> dict[str, int]:
    """Check all parts of a station against what was sent and answered; return counts."""
    station = Station.open(StationConfig(data=data))
    with station.database.read() as session:
        parts = session.scalars(select(Part)).all()
    station.database.close()
    by_key = {part.key: part for part in parts}
    twice = len(parts) - len(by_key)
    lost = [k for k, part_id in answered.items() if k not in by_key or by_key[k].id != part_id]
    assert not twice, "a part is there twice"
    assert not lost, "parts were answered and are lost"
    for part in parts:
        check_whole(station, part, sent)
    return {"stored": len(parts), "lost": len(lost), "stored twice": twice}


def check_whole(station: Station, part: Part, sent: dict[str, str]) -> None:
    """Check that a part has all that belongs to it: verdict, image and map."""
    assert part.key is not None
    assert part.image == sent[part.key]
    assert part.verdict is not None, part.error
    assert part.record["verdict"] == part.verdict
    assert part.has_image, part.note
    assert part.has_map, part.note
    stored = station.files.image_path(part.image, ".png").read_bytes()
    assert hashlib.sha256(stored).hexdigest() == part.image
    assert station.files.read_map(part.image, part.model).ndim == 2
