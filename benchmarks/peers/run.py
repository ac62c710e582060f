"""flawmap beside anomalib's models: the same images, teacher weights and machine, in one run.

``python benchmarks/peers/run.py CATEGORY --peers PEERS/bin/python`` writes
``benchmarks/results/peers/CATEGORY.json``. Each side is fitted in a process of its own, one after
the other; then all are loaded afresh and take turns, so that whatever else the machine does falls
on all alike. Figures are flawmap's metrics on raw maps.
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

from flawmap.datasets import open_dataset  # noqa: E402
from flawmap.masks import read_mask  # noqa: E402
from flawmap.metrics import Evaluator  # noqa: E402

SHARED = ROOT.parent / "shared"
WEIGHTS = SHARED / "weights" / "resnet18_imagenet_bnfolded.safetensors"
OURS = ("destseg-resnet18", "destseg-pocket", "adps-pocket")
THEIRS = ("patchcore", "stfpm", "supersimplenet", "efficientad")
ROUNDS, IMAGES = 12, 10
KEYS = ("image_auroc", "pixel_ap", "pixel_auroc", "pro", "iap")


class Side:
    """A process that fits a model, or times it."""

    def __init__(self, python: str, name: str, data: Path, work: Path, seed: int) -> None:
        script = HERE / ("flawmap_peer.py" if name in OURS else "anomalib_peer.py")
        self.name = name
        self.out = work / f"{data.name}-{name}-{seed}"
        options = ["--weights", str(WEIGHTS), "--seed", str(seed)]
        self._process = subprocess.Popen(
            [python, str(script), name, str(data), str(self.out), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> dict[str, Any]:
        """Its answer to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} failed: see above.")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def figures(data: Path, maps: Path) -> dict[str, float | None]:
    """flawmap's figures of raw maps."""
    kept = np.load(maps)
    index = {name: row for row, name in enumerate(kept["names"])}
    evaluator = Evaluator()
    for sample in open_dataset(data, training=False).test:
        row = index[str(sample.path.relative_to(data))]
        anomaly_map = kept["maps"][row].astype(np.float32)
        mask = read_mask(sample.mask, anomaly_map.shape) if sample.mask else None
        score = float(kept["scores"][row])
        evaluator.update(anomaly_map, mask, score, sample.label == "defective")
    found = evaluator.compute().to_dict()
    return {key: found[key] for key in KEYS}


def main() -> None:
    """Fit every side, then time all in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("category", help="of ../shared/data/mvtec_ad_256")
    parser.add_argument("--peers", required=True, help="Python of the peers' environment")
    parser.add_argument("--work", type=Path, required=True, help="folder of what is fitted")
    parser.add_argument("--side", nargs="+", default=[*OURS, *THEIRS])
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    data = (SHARED / "data" / "mvtec_ad_256" / asked.category).resolve()
    found: dict[str, dict[str, Any]] = {}

    def start(name: str) -> Side:
        python = sys.executable if name in OURS else asked.peers
        return Side(python, name, data, asked.work.resolve(), asked.seed)

    for name in asked.side:
        side = start(name)
        found[name] = side.ask("fit")
        if (side.out / "maps.npz").is_file():
            found[name]["figures"] = figures(data, side.out / "maps.npz")
        side.close()
        print(name, found[name], flush=True)
    sides = [start(name) for name in asked.side]
    for side in sides:
        side.ask("fit")
        side.ask(f"time {IMAGES}")
    times: dict[str, list[float]] = {name: [] for name in asked.side}
    for _ in range(ROUNDS):
        for side in sides:
            answer = side.ask(f"time {IMAGES}")
            times[side.name] += answer["milliseconds"]
            found[side.name]["peak_mb"] = answer["peak_mb"]
    for side in sides:
        side.close()
        found[side.name]["p50_ms"] = round(statistics.median(times[side.name]), 2)
    write_result(
        f"peers/{asked.category}",
        f"python benchmarks/peers/run.py {asked.category} --peers PEERS/bin/python --work WORK",
        category=asked.category,
        seed=asked.seed,
        sides=found,
        install=install(asked.peers),
    )


def install(python: str) -> dict[str, Any]:
    """Packages of the peers' environment and the MB they take, with and without CUDA's."""
    code = (
        "import importlib.metadata as m, json, pathlib, site;"
        "p = pathlib.Path(site.getsitepackages()[0]);"
        "s = lambda f: sum(x.stat().st_size for x in f.rglob('*') if x.is_file()) // 2**20;"
        "a = s(p); g = sum(s(p / n) for n in ('nvidia', 'triton') if (p / n).is_dir());"
        "print(json.dumps({'packages': len(list(m.distributions())), 'mb': a,"
        " 'mb_without_cuda': a - g, 'anomalib': m.version('anomalib')}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
