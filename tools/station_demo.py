"""`make station`: a station with the demo's product, an hour of history, and parts coming in.

``tools/station_demo.py DEMO [--data station-demo] [--port 8420] [--every 3]``: DEMO is the folder
of ``flawmap demo``. The first start inspects parts of its product that were not in the demo, dates
them back over some hours and lets two made-up reviewers look at some. Then ``flawmap serve`` runs,
and a client with an API key sends a new part every few seconds, as a line would; each fifth one is
dropped in a watched folder instead. A web server on the next port takes the verdicts, as a
production system would. Ctrl-C ends all. Needs the extra ``serve``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.demonstration.drawing import draw_dataset
from flawmap.inspection.inspector import Inspector
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.database.tables import Part, Product, User
from flawmap.station.database.tables.base import now
from flawmap.station.delivery.settings import WebhookSettings
from flawmap.station.delivery.sinks import all_sinks, change_sink, create_sink
from flawmap.station.intake.versions import note_model, note_settings
from flawmap.station.parts.write import NewPart
from flawmap.station.review.decisions import Decision, decide
from flawmap.station.review.drawing import Drawing, Mask, draw
from flawmap.station.security.callers import Caller
from flawmap.station.security.keys import create_key
from flawmap.station.security.users import create_user
from flawmap.utils.files import make_folder, write_bytes
from flawmap.utils.signals import stopped_by_signals

PRODUCT = "Flange 40"
LINK = "Production system (demo)"
HISTORY = 300  # parts
SPACING = 30_000_000  # microseconds between two of them
KEY_FILE = "demo-key.txt"
BACKWARD = 1 / 12  # share of defective parts


class Image(NamedTuple):
    """An image of the demo's product, whether the part is defective, and where."""

    path: Path
    defective: bool
    mask: Path


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
    link(given.data, given.port + 1)
    folder = make_folder(given.data / "demo-folder")
    run = f"{PRODUCT}={given.demo / 'run'}"
    command = [sys.executable, "-m", "flawmap", "serve", run, "--data", str(given.data)]
    command += ["--watch", f"{PRODUCT}={folder}", "--port", str(given.port)]
    with taking(given.port + 1):
        server = subprocess.Popen(command)
        key = key_file.read_text(encoding="utf-8")
        with stopped_by_signals(), contextlib.suppress(KeyboardInterrupt):
            send(server, given.port, key, images, given.every, folder)
        server.terminate()
        server.wait()


class _Taking(BaseHTTPRequestHandler):
    """Confirms every message, and forgets it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def taking(port: int) -> Iterator[None]:
    """Run what stands for a production system that takes verdicts."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Taking) as system:
        threading.Thread(target=system.serve_forever, daemon=True).start()
        yield
        system.shutdown()


def link(data: Path, port: int) -> None:
    """Let verdicts go to a port of this machine."""
    station = Station.open(StationConfig(data=data))
    settings = WebhookSettings(url=f"http://127.0.0.1:{port}/verdicts")
    with station.database.write() as session:
        ben = session.scalars(select(User).where(User.name == "ben (demo)")).one()
        caller = Caller(ben.name, "engineer", ben.id)
        known = [one for one in all_sinks(session) if one.name == LINK]
        if not known:
            create_sink(session, caller, LINK, settings)
        elif known[0].settings["url"] != settings.url:
            change_sink(session, caller, known[0].id, LINK, settings)
    station.database.close()


def new_images(demo: Path, place: Path) -> list[Image]:
    """Draw the demo's product again: more test images than the demo had."""
    seed = int((demo / "run").exists() and _seed(demo))
    if not place.exists():
        draw_dataset(place, seed, train_good=1, test_good=60, defective_per_type=8)
    found = []
    for path in sorted(place.glob("test/*/*.png")):
        defective = path.parent.name != "good"
        if defective or int(path.stem) >= 20:  # the demo itself has the first twenty
            mask = place / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
            found.append(Image(path, defective, mask))
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
    truth: dict[str, Image] = {}
    for number, image in zip(range(HISTORY), stream(images, 1), strict=False):
        truth[part_number(number)] = image
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


def _people(session: Session, truth: dict[str, Image]) -> str:
    """Let two reviewers decide on what was not good, and on some good parts; make a key.

    They draw the defects of what they reject.
    """
    ana = create_user(session, None, "ana (demo)", "operator")
    ben = create_user(session, None, "ben (demo)", "engineer")
    parts = session.scalars(select(Part).order_by(Part.id)).all()
    for part in parts[: -HISTORY // 5]:
        if part.verdict == "good" and part.id % 10:
            continue
        image = truth[part.number or ""]
        decision: Decision = "reject" if image.defective else "good"
        if image.defective:
            draw(session, part.id, ana.id, drawing_of(image))
        decide(session, part.id, ana.id, decision, comment=None)
        if part.id % 3 == 0:
            decide(session, part.id, ben.id, decision, comment=None)
    caller = Caller(ben.name, "engineer", ben.id)
    return create_key(session, caller, "demo line", ["inspect"], days=None)[1]


def drawing_of(image: Image) -> Drawing:
    """Return an image's defect as a reviewer would have painted it."""
    with PIL.Image.open(image.mask) as opened:
        mask = np.asarray(opened.convert("L")) > 0
    edges = np.flatnonzero(np.diff(mask.ravel(), prepend=False, append=False))
    runs = np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1).ravel().tolist()
    geometry = Mask(size=mask.shape, runs=runs)
    return Drawing(type=image.path.parent.name, shape="mask", geometry=geometry)


def part_number(number: int) -> str:
    return f"A4-{2600 + number:06}"


def send(
    server: subprocess.Popen[bytes],
    port: int,
    key: str,
    images: list[Image],
    every: float,
    folder: Path,
) -> None:
    """Send a part every few seconds until the server ends."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "image/png"}
    offset = int(time.time()) % 1_000_000
    for number, image in enumerate(stream(images, offset)):
        time.sleep(every)
        if server.poll() is not None:
            return
        if number % 5 == 4:
            drop(image, folder, f"C1-{offset + number:06}")
            continue
        path = f"/api/v1/inspect?number=B1-{offset + number:06}&line=Line%20{1 + number % 2}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(ConnectionRefusedError):
            connection.request("POST", path, image.path.read_bytes(), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                print(f"{answer.status}: {text[:200]!r}", file=sys.stderr)


def drop(image: Image, folder: Path, number: str) -> None:
    """Write an image into the watched folder, and remove those of before but the last."""
    for old in sorted(folder.glob("*.png"))[:-1]:
        old.unlink()
    write_bytes(folder / f"{number}.png", image.path.read_bytes())


if __name__ == "__main__":
    main()
