"""Fuzzing campaign: mutated images and artefacts, each case in a separate worker process.

``python benchmarks/fuzz.py`` runs 20,000 images and 2,000 artefacts and writes
``benchmarks/results/fuzz.json``. A case may succeed, or raise flawmap's own error of one or
two lines. Everything else is a finding: another error, more than 5 s of processor time, a dead
process, more than 1 GB of memory. ``--keep`` stores the bytes of findings; ``--case`` repeats one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fuzz_artefacts
import fuzz_images
import numpy as np
from record import ROOT, write_result

from flawmap.errors import FlawmapError

SECONDS = 5.0  # maximum processor time of a case
STUCK = 120.0  # maximum wall-clock seconds of a case, on a machine that may be busy
MEGABYTES = 1000  # maximum memory, including Python and its libraries
ADDRESSES = 16 * 2**30  # address space of a worker: a leak must not exhaust the machine
TICKS = os.sysconf("SC_CLK_TCK")

Outcome = dict[str, Any]


def image_case(seed: int, case: int, made: Path, place: Path) -> tuple[str, Callable[[], str]]:
    """Return a description of the mutated image, and the call that decodes it."""
    from flawmap.data.image_io.images import read_image, read_scaled
    from flawmap.data.masks.decoding import marks_anything, read_mask

    whole = bombs(made)
    if case < len(whole):
        description, data = whole[case].name, whole[case].read_bytes()
    else:
        description, data = fuzz_images.mutated(seed, case)
    (place / "case.bin").write_bytes(data)

    def act() -> str:
        if case % 5 == 3:
            mask = read_mask(data, (64, 64), image_size=(18, 24) if case % 2 else None)
            assert mask.shape == (64, 64)
            assert mask.max() <= 1
            return "a mask"
        if case % 10 == 4:
            return f"marks: {marks_anything(data)}"
        if case % 2:
            image, _ = read_scaled(data, lambda own: (64, 64))
            assert image.shape == (64, 64, 3)
            return "a scaled image"
        image = read_image(data)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        return "an image"

    return description, act


def artefact_case(seed: int, case: int, made: Path, place: Path) -> tuple[str, Callable[[], str]]:
    """Return a description of the mutated run, and the call that uses it."""
    from flawmap import Inspector

    description = fuzz_artefacts.mutated(seed, case, made, place / "run")

    def act() -> str:
        precision = "int8" if description.startswith("exports") else "float32"
        inspector = Inspector.load(place / "run", precision=precision, threads=1)
        inspection = inspector.inspect(np.zeros((50, 40, 3), np.uint8))
        assert np.isfinite(inspection.score)
        assert np.isfinite(inspection.anomaly_map).all()
        return inspection.verdict

    return description, act


def weights_case(seed: int, case: int, made: Path, place: Path) -> tuple[str, Callable[[], str]]:
    """Return an :func:`artefact_case` that reads the weights, as ``export`` does."""
    from flawmap.exporting.rebuild import TorchBackend
    from flawmap.inspection.bundle.manifest import read_manifest

    description = fuzz_artefacts.mutated(seed, case, made, place / "run")

    def act() -> str:
        backend = TorchBackend(place / "run", read_manifest(place / "run"), threads=1)
        backend(np.zeros((1, *backend.size, 3), np.uint8))
        return "a network"

    return description, act


KINDS: dict[str, Callable[[int, int, Path, Path], tuple[str, Callable[[], str]]]] = {
    "images": image_case,
    "artefacts": artefact_case,
    "weights": weights_case,
}


def save_bombs(made: Path) -> None:
    """Write the decompression bombs once for all workers, as making them takes long."""
    (made / "bombs").mkdir(parents=True)
    for number, (name, data) in enumerate(fuzz_images.bombs()):
        (made / "bombs" / f"{number} {name}").write_bytes(data)


def bombs(made: Path) -> list[Path]:
    """Return the paths of the decompression bombs."""
    return sorted((made / "bombs").iterdir())


def run_case(kind: str, seed: int, case: int, made: Path, place: Path) -> Outcome:
    """Run one case; return its outcome."""
    description, act = KINDS[kind](seed, case, made, place)
    _forget_peak()
    begun, wall = time.process_time(), time.perf_counter()
    outcome = {"case": case, "told": description, **_ended(act)}
    return outcome | {
        "seconds": round(time.process_time() - begun, 3),
        "wall": round(time.perf_counter() - wall, 3),
        "megabytes": _memory("VmHWM"),
    }


def _ended(act: Callable[[], str]) -> dict[str, str]:
    try:
        return {"outcome": act()}
    except FlawmapError as error:
        message = str(error)
        lines = len(message.splitlines())
        if not 1 <= lines <= 2 or len(message) > 1000:
            return {"outcome": "finding", "why": f"a message of {lines} lines, {len(message)} long"}
        return {"outcome": type(error).__name__, "message": message}
    except Exception:
        lines = traceback.format_exc().replace(f"{ROOT}{os.sep}", "")
        return {"outcome": "finding", "why": lines[-1500:]}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _memory(name: str, process: str | int = "self") -> int:
    """Return the megabytes of a process, 0 if it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        return int(text.split(f"{name}:")[1].split()[0]) * 1024 // 10**6
    except (OSError, IndexError):
        return 0


def work(there: Connection, kind: str, seed: int, made: Path, place: Path) -> None:
    """Run a worker: receive case numbers and send their outcomes until terminated."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    said = (place / "said").open("wb", buffering=0)
    os.dup2(said.fileno(), 2)
    warnings.simplefilter("always")
    _load_libraries(kind, made)
    there.send(None)
    while True:
        case = there.recv()
        before = os.fstat(said.fileno()).st_size
        outcome = run_case(kind, seed, case, made, place)
        there.send(outcome | {"aside": os.fstat(said.fileno()).st_size - before})


def _load_libraries(kind: str, made: Path) -> None:
    """Import what is loaded on first use, so that the first case is not charged for it."""
    from flawmap import Inspector
    from flawmap.data.image_io.images import read_image
    from flawmap.exporting.rebuild import rebuild
    from flawmap.inspection.bundle.manifest import read_manifest

    for _, data in fuzz_images.seeds():
        with contextlib.suppress(FlawmapError):
            read_image(data)
    if kind == "artefacts":
        Inspector.load(made / "run", threads=1).inspect(np.zeros((50, 40, 3), np.uint8))
        import onnx  # noqa: F401
    elif kind == "weights":
        rebuild(made / "run", read_manifest(made / "run"))


@dataclass
class Campaign:
    """Cases of one kind, run by one worker at a time, and their outcomes."""

    kind: str
    seed: int
    made: Path
    place: Path
    keep: Path
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Outcome] = field(default_factory=list)
    slowest: Outcome = field(default_factory=lambda: {"seconds": 0.0})
    largest: Outcome = field(default_factory=lambda: {"megabytes": 0})
    aside: int = 0
    _process: Any = None
    _here: Any = None

    def run(self, count: int) -> None:
        """Run cases 0 to ``count`` - 1."""
        self.place.mkdir()
        reported = time.monotonic()
        for case in range(count):
            if self._process is None:
                self._start()
            self._here.send(case)
            self._add({"case": case} | self._answer())
            if time.monotonic() - reported > 20:
                reported = time.monotonic()
                print(f"{self.kind}: {case} of {count}, {len(self.findings)} findings", flush=True)
        self._stop()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        arguments = (there, self.kind, self.seed, self.made, self.place)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        there.close()
        self._here.recv()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _answer(self) -> Outcome:
        """Return the outcome; if there is none, the reason, and terminate the worker."""
        begun, used = time.monotonic(), _seconds(self._process.pid)
        why = None
        while why is None and not self._here.poll(0.05):
            if _memory("VmRSS", self._process.pid) > 4 * MEGABYTES:
                why = f"more than {4 * MEGABYTES} MB of memory"
            elif _seconds(self._process.pid) - used > 3 * SECONDS:
                why = f"more than {3 * SECONDS:.0f} s of processor time"
            elif time.monotonic() - begun > STUCK:
                why = f"no outcome within {STUCK:.0f} s"
        if why is None:
            try:
                outcome: Outcome = self._here.recv()
                return outcome
            except EOFError:
                self._process.join()
                why = f"the process died with status {self._process.exitcode}"
        self._stop()
        return {"outcome": "finding", "why": why, "told": "repeat with --case"}

    def _add(self, outcome: Outcome) -> None:
        outcome |= _over_the_limits(outcome)
        self.outcomes[outcome["outcome"]] += 1
        self.aside += outcome.get("aside", 0) > 0
        if outcome["outcome"] == "finding":
            self.findings.append(outcome)
            self._keep_case(outcome["case"])
            print(
                f"{self.kind} {outcome['case']}: {outcome['told']}\n    {outcome['why']}",
                flush=True,
            )
        else:
            self.slowest = max(self.slowest, outcome, key=lambda one: float(one["seconds"]))
            self.largest = max(self.largest, outcome, key=lambda one: int(one["megabytes"]))

    def _keep_case(self, case: int) -> None:
        target = self.keep / f"{self.kind}-{case}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.place, target, symlinks=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the object for the result file."""
        shown = ("case", "told", "outcome", "seconds", "megabytes")
        return {
            "cases": sum(self.outcomes.values()),
            "outcomes": dict(self.outcomes.most_common()),
            "slowest": {key: self.slowest.get(key) for key in shown},
            "largest": {key: self.largest.get(key) for key in shown},
            "cases_with_lines_of_libraries_on_standard_error": self.aside,
            "findings": self.findings,
        }


def _over_the_limits(outcome: Outcome) -> Outcome:
    if outcome.get("seconds", 0) > SECONDS:
        return {"outcome": "finding", "why": f"{outcome['seconds']} s of processor time"}
    if outcome.get("wall", 0) > STUCK:
        return {"outcome": "finding", "why": f"{outcome['wall']} s in all"}
    if outcome.get("megabytes", 0) > MEGABYTES:
        return {"outcome": "finding", "why": f"{outcome['megabytes']} MB of memory"}
    return {}


def _seconds(process: int) -> float:
    """Return the processor time of a process so far, all threads; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> int:
    """Run the campaign, or one case of it; return 1 if there is a finding."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--images", type=int, default=20_000)
    words.add_argument("--artefacts", type=int, default=2_000)
    words.add_argument("--weights", type=int, default=200)
    words.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "flawmap-fuzz")
    words.add_argument(
        "--made", type=Path, help="folder that keeps bombs and runs for further calls"
    )
    words.add_argument("--case", metavar="KIND:NUMBER", help="run this case alone, in this process")
    words.add_argument("--dry", action="store_true", help="write no result file")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="flawmap-fuzz-") as folder:
        made, place = asked.made or Path(folder) / "made", Path(folder) / "place"
        place.mkdir()
        if not made.exists():
            save_bombs(made)
            fuzz_artefacts.train_tiny(made)
        if asked.case is not None:
            kind, _, number = asked.case.partition(":")
            print(json.dumps(run_case(kind, asked.seed, int(number), made, place), indent=2))
            return 0
        campaigns = [Campaign(kind, asked.seed, made, place / kind, asked.keep) for kind in KINDS]
        with ThreadPoolExecutor(len(campaigns)) as pool:
            list(pool.map(lambda one: one.run(getattr(asked, one.kind)), campaigns))
    result = {campaign.kind: campaign.to_dict() for campaign in campaigns}
    if asked.dry:
        print(json.dumps(result, indent=2))
    else:
        limits = {"processor_seconds": SECONDS, "seconds": STUCK, "megabytes": MEGABYTES}
        command = f"python benchmarks/fuzz.py --seed {asked.seed}"
        counts = "".join(f" --{kind} {getattr(asked, kind)}" for kind in KINDS)
        write_result("fuzz", command + counts, seed=asked.seed, limits=limits, **result)
    return int(any(campaign.findings for campaign in campaigns))


if __name__ == "__main__":
    sys.exit(main())
