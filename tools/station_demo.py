"""`make station`: a station with the demo's product, an hour of history, and parts coming in.

``tools/station_demo.py DEMO [--data station-demo] [--port 8420] [--every 3]``: DEMO is the folder
of ``flawmap demo``. The first start inspects parts of its product that were not in the demo, dates
them back over some hours and lets two made-up reviewers look at some. Then ``flawmap serve`` runs,
and a client with an API key sends a new part every few seconds, as a line would. Ctrl-C ends both.
Needs the extra ``serve``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sqlalchemy import select

from flawmap.demonstration.drawing import draw_dataset
from flawmap.inspection.inspector import Inspector
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Part, Product
from flawmap.station.database.tables.base import now
from flawmap.station.intake.versions import note_model, note_settings
from flawmap.station.parts.write import NewPart
from flawmap.station.review.decisions import decide
from flawmap.station.security.callers import Caller
from flawmap.station.security.keys import create_key
from flawmap.station.security.users import create_user
from flawmap.utils.signals import stopped_by_signals

PRODUCT = "Flange 40"
HISTORY = 300  # parts
SPACING = 30_000_000  # microseconds between two of them
KEY_FILE = "demo-key.txt"
BACKWARD = 1 / 12  # share of defective parts


class Image(NamedTuple):
    """An image of the demo's product, and whether the part is defective."""

    path: Path
    defective: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--data", type=Path, default=Path("station-demo"))
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two parts")
    given = parser.parse_args()
    images = new_images(given.demo, given.data / "demo-images")
    key_file = given.data / KEY_FILE
    if not key_file.exists():
        print(f"Inspecting {HISTORY} parts for the history ...", flush=True)
        key_file.write_text(fill(given.data, given.demo / "run", images), encoding="utf-8")
    run = f"{PRODUCT}={given.demo / 'run'}"
    command = [sys.executable, "-m", "flawmap", "serve", run, "--data", str(given.data)]
    server = subprocess.Popen([*command, "--port", str(given.port)])
    with stopped_by_signals(), contextlib.suppress(KeyboardInterrupt):
        send(server, given.port, key_file.read_text(encoding="utf-8"), images, given.every)
    server.terminate()
    server.wait()


def new_images(demo: Path, place: Path) -> list[Image]:
    """Draw the demo's product again: more test images than the demo had."""
    seed = int((demo / "run").exists() and _seed(demo))
    if not place.exists():
        draw_dataset(place, seed, train_good=1, test_good=60, defective_per_type=8)
    found = []
    for path in sorted(place.glob("test/*/*.png")):
        defective = path.parent.name != "good"
        if defective or int(path.stem) >= 20:  # the demo itself has the first twenty
            found.append(Image(path, defective))
    return found


def _seed(demo: Path) -> int:
    from flawmap.inspection.bundle.manifest import read_manifest

    return read_manifest(demo / "run").training.seed


def stream(images: list[Image], seed: int) -> Iterator[Image]:
    """Yield images as a line might bring them, without end."""
    rng = np.random.default_rng(seed)
    bad = [image for image in images if image.defective]
    good = [image for image in images if not image.defective]
    while True:
        some = bad if rng.random() < BACKWARD else good
        yield some[int(rng.integers(len(some)))]


def fill(data: Path, run: Path, images: list[Image]) -> str:
    """Store a history with reviews; return the text of an API key."""
    station = Station.open(StationConfig(data=data))
    inspector = Inspector.load(run)
    with station.database.write() as session:
        product = Product(name=PRODUCT, created_at=now())
        session.add(product)
        session.flush()
        note_model(session, product.id, run, inspector.run_id)
        note_settings(session, product.id, inspector)
    begun = now() - HISTORY * SPACING
    truth = {}
    for number, image in zip(range(HISTORY), stream(images, 1), strict=False):
        truth[part_number(number)] = image.defective
        station.writer.store([_part(inspector, product.id, image, number, begun)])
    with station.database.write() as session:
        key = _people(session, truth)
    station.database.close()
    return key


def _part(inspector: Inspector, product: int, image: Image, number: int, begun: int) -> NewPart:
    data = image.path.read_bytes()
    start = time.perf_counter()
    outcome = inspector.inspect(data)
    return NewPart(
        product_id=product,
        outcome=outcome,
        data=data,
        suffix=".png",
        received_at=begun + number * SPACING,
        source="http",
        number=part_number(number),
        line=f"Line {1 + number % 2}",
        fields={"shift": "early", "batch": f"B{17 + number // 100}"},
        waited_ms=0.4,
        total_ms=round(1000 * (time.perf_counter() - start) + 0.9, 1),
    )


def _people(session: object, truth: dict[str, bool]) -> str:
    """Let two reviewers decide on what was not good, and on some good parts; make a key."""
    ana = create_user(session, None, "ana (demo)", "operator")
    ben = create_user(session, None, "ben (demo)", "engineer")
    parts = session.scalars(select(Part).order_by(Part.id)).all()
    for part in parts[: -HISTORY // 5]:
        if part.verdict == "good" and part.id % 10:
            continue
        decision = "reject" if truth[part.number] else "good"
        decide(session, part.id, ana.id, decision, comment=None)
        if part.id % 3 == 0:
            decide(session, part.id, ben.id, decision, comment=None)
    caller = Caller(ben.name, "engineer", ben.id)
    return create_key(session, caller, "demo line", ["inspect"], days=None)[1]


def part_number(number: int) -> str:
    return f"A4-{2600 + number:06}"


def send(
    server: subprocess.Popen[bytes], port: int, key: str, images: list[Image], every: float
) -> None:
    """Send a part every few seconds until the server ends."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "image/png"}
    offset = int(time.time()) % 1_000_000
    for number, image in enumerate(stream(images, offset)):
        time.sleep(every)
        if server.poll() is not None:
            return
        path = f"/api/v1/inspect?number=B1-{offset + number:06}&line=Line%20{1 + number % 2}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(ConnectionRefusedError):
            connection.request("POST", path, image.path.read_bytes(), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                print(f"{answer.status}: {text[:200]!r}", file=sys.stderr)


if __name__ == "__main__":
    main()
