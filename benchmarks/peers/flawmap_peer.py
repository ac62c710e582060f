"""Train and time one of flawmap's inspectors, as ``anomalib_peer.py`` does with anomalib's.

``python flawmap_peer.py METHOD-TEACHER IMAGES OUT --weights FOLDER`` answers the same requests.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

import flawmap


class Peer:
    """A method with its preset ``fast`` and a teacher, from training to timing."""

    def __init__(self, name: str, images: Path, out: Path, seed: int) -> None:
        self.method, self.teacher = name.split("-")
        listing = json.loads(images.read_text())
        self.data, self.out, self.seed = Path(listing["data"]), out, seed
        self.images = [Path(path) for path, _ in listing["test"]]

    def fit(self) -> dict[str, Any]:
        """Train unless that is done, and save the maps."""
        done = self.out / "fit.json"
        if not done.is_file():
            result = flawmap.train(
                self.data,
                self.out,
                method=self.method,
                teacher=self.teacher,
                seed=self.seed,
                resume=True,
            )
            seconds = result.manifest.training.seconds["train"]
            summary = {"fit_seconds": round(seconds, 1), "cores": len(os.sched_getaffinity(0))}
            done.write_text(json.dumps(summary))
        self.inspector = flawmap.Inspector.load(self.out)
        self._keep_maps()
        fit: dict[str, Any] = json.loads(done.read_text())
        return fit

    def _keep_maps(self) -> None:
        inspections = [self.inspector.inspect(path) for path in self.images]
        scores = np.array([one.score for one in inspections])
        maps = np.stack([one.anomaly_map for one in inspections])
        np.savez(self.out / "maps.npz", maps=maps, scores=scores)

    def time(self, count: int) -> dict[str, Any]:
        """Return the milliseconds from an image's path to its verdict."""
        milliseconds = []
        for path in itertools.islice(itertools.cycle(self.images), count):
            begun = time.perf_counter()
            self.inspector.inspect(path)
            milliseconds.append(1000.0 * (time.perf_counter() - begun))
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"milliseconds": milliseconds, "peak_mb": round(used / 1024)}


def main() -> None:
    """Answer the requests of ``run.py``, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("images", type=Path, help="listing of run.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ["FLAWMAP_WEIGHTS"] = str(asked.weights.parent)
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        peer = Peer(asked.name, asked.images, asked.out, asked.seed)
        for line in sys.stdin:
            word, *count = line.split()
            answer = peer.fit() if word == "fit" else peer.time(int(count[0]))
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
