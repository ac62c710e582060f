"""Compare flawmap with anomalib's models: same images, teacher weights and machine, in one run.

``python benchmarks/peers/run.py PRODUCT --peers PEERS/bin/python`` writes
``benchmarks/results/peers/PRODUCT.json``. Each side is fitted in a separate process, one after the
other; then all are loaded again and timed in turns, so that other load on the machine affects all
alike. Metrics are flawmap's, of raw maps. ``--minutes`` limits the training time of a peer, and
PatchCore's coreset is as large as can be selected in that time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from record import ROOT, write_result  # noqa: E402

from flawmap.data.layouts import open_dataset  # noqa: E402
from flawmap.data.masks.decoding import read_mask  # noqa: E402
from flawmap.evaluation.metrics import Evaluator  # noqa: E402
from flawmap.evaluation.metrics.catalogue import compared_metrics  # noqa: E402

SHARED = ROOT.parent / "shared"
WEIGHTS = SHARED / "weights" / "resnet18_imagenet_bnfolded.safetensors"
OURS = ("destseg-resnet18", "destseg-pocket", "adps-pocket")
THEIRS = ("patchcore", "stfpm", "supersimplenet", "efficientad")
ROUNDS, IMAGES = 12, 10
SIZES = {"kolektor_sdd": "640x256"}  # sizes that flawmap chooses itself; 256x256 for the others


class Side:
    """A process that fits a model, or times it."""

    def __init__(
        self, python: str, name: str, images: Path, work: Path, seed: int, limits: list[str]
    ) -> None:
        script = HERE / ("flawmap_peer.py" if name in OURS else "anomalib_peer.py")
        self.name = name
        self.out = work / f"{images.stem}-{name}-{seed}"
        options = ["--weights", str(WEIGHTS), "--seed", str(seed)]
        options += [] if name in OURS else limits
        self._process = subprocess.Popen(
            [python, str(script), name, str(images), str(self.out), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> dict[str, Any]:
        """Send a request; return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} failed: see above.")
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        """Close its input and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def list_images(data: Path, work: Path) -> Path:
    """Write the list of a product's training and test images for all sides."""
    dataset = open_dataset(data)
    listing = work / f"{data.name}.json"
    work.mkdir(parents=True, exist_ok=True)
    content = {
        "data": str(data),
        "train": [str(sample.path) for sample in dataset.train],
        "test": [[str(sample.path), sample.label == "defective"] for sample in dataset.test],
    }
    listing.write_text(json.dumps(content))
    return listing


def measure(data: Path, maps: Path) -> dict[str, float | None]:
    """Return flawmap's metrics of raw maps, which are in the order of the listing."""
    kept = np.load(maps)
    evaluator = Evaluator()
    for row, sample in enumerate(open_dataset(data).test):
        anomaly_map = kept["maps"][row].astype(np.float32)
        defective = sample.label == "defective"
        mask = read_mask(sample.mask, anomaly_map.shape) if defective and sample.mask else None
        evaluator.update(anomaly_map, mask, float(kept["scores"][row]), defective)
    metrics = evaluator.compute()
    return {one.key: metrics[one.key] for one in compared_metrics()}


def compare(product: str, asked: argparse.Namespace) -> None:
    """Fit every side on one product, then time all in turns, and write the result."""
    data = (SHARED / "data" / product).resolve()
    work = asked.work.resolve()
    images = list_images(data, work)
    size = SIZES.get(product, "256x256")
    limits = ["--size", *size.split("x")]
    limits += ["--minutes", str(asked.minutes)] if asked.minutes else []
    results: dict[str, dict[str, Any]] = {}

    def start(name: str) -> Side:
        python = sys.executable if name in OURS else asked.peers
        return Side(python, name, images, work, asked.seed, limits)

    for name in asked.side:
        side = start(name)
        results[name] = side.ask("fit")
        if (side.out / "maps.npz").is_file():
            results[name]["figures"] = measure(data, side.out / "maps.npz")
        side.close()
        print(product, name, results[name], flush=True)
    sides = [start(name) for name in asked.side]
    for side in sides:
        side.ask("fit")
        side.ask(f"time {IMAGES}")
    times: dict[str, list[float]] = {name: [] for name in asked.side}
    for _ in range(ROUNDS):
        for side in sides:
            answer = side.ask(f"time {IMAGES}")
            times[side.name] += answer["milliseconds"]
            results[side.name]["peak_mb"] = answer["peak_mb"]
    for side in sides:
        side.close()
        results[side.name]["p50_ms"] = round(statistics.median(times[side.name]), 2)
    write_result(
        f"peers/{data.name}",
        f"python benchmarks/peers/run.py {product} --peers PEERS/bin/python --work WORK"
        f" --minutes {asked.minutes} --side {' '.join(asked.side)}",
        category=data.name,
        size=size,
        seed=asked.seed,
        minutes=asked.minutes,
        sides=results,
        install=install(asked.peers),
    )


def main() -> None:
    """Compare all sides on each product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("product", nargs="+", help="folder below ../shared/data")
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--work", type=Path, required=True, help="folder for fitted models")
    parser.add_argument("--side", nargs="+", default=[*OURS, *THEIRS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="maximum training time of a peer")
    asked = parser.parse_args()
    for product in asked.product:
        compare(product, asked)


def install(python: str) -> dict[str, Any]:
    """Return number and size of the packages in the peers' environment, with and without CUDA."""
    code = (
        "import importlib.metadata as m, json, pathlib, site;"
        "p = pathlib.Path(site.getsitepackages()[0]);"
        "s = lambda f: sum(x.stat().st_size for x in f.rglob('*') if x.is_file()) // 2**20;"
        "a = s(p); g = sum(s(p / n) for n in ('nvidia', 'triton') if (p / n).is_dir());"
        "print(json.dumps({'packages': len(list(m.distributions())), 'mb': a,"
        " 'mb_without_cuda': a - g, 'anomalib': m.version('anomalib')}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    packages: dict[str, Any] = json.loads(done.stdout)
    return packages


if __name__ == "__main__":
    main()
