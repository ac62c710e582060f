"""Kill a station (kill -9) at random moments under load; each answered part must be stored once.

``python benchmarks/station_kill.py RUN IMAGES`` starts a real server 30 times, kills it while four
clients send images, and checks all parts with their images and maps at the end. It writes
``benchmarks/results/station_kill.json``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from record import ROOT, write_result

sys.path.insert(0, str(ROOT / "tests"))

from station.process import kill_under_load


def main() -> None:
    """Kill, check, and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images = [path.read_bytes() for path in sorted(arguments.images.rglob("*.png"))[:16]]
    data, begun = Path(tempfile.mkdtemp(prefix=".station-", dir=ROOT)), time.perf_counter()
    try:
        counts = kill_under_load(data, arguments.run, images, arguments.kills, arguments.seed)
    finally:
        shutil.rmtree(data)
    seconds = round(time.perf_counter() - begun)
    write_result("station_kill", seed=arguments.seed, seconds=seconds, **counts)


if __name__ == "__main__":
    main()
