"""Measure how much of flawmap the tests execute (``make coverage``).

Run all tests on all cores and write ``benchmarks/results/coverage.json``. Lines and branches are
measured, also in processes that tests start; a process that a test kills does not report.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from record import write_result

TOOLS = ("coverage", "pytest", "pytest-cov", "pytest-xdist")
TESTS = ("-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--assert", "plain")
TESTS += ("src", "tests")
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main() -> int:
    """Run the tests and write the result, with the exit status of pytest: 1 if a test failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        options = ("--cov", f"--cov-report=json:{report}")
        command = [sys.executable, "-m", "pytest", *options, *TESTS]
        done = subprocess.run(command, check=False)
        if not report.is_file():
            return done.returncode
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    counts = summary({Path(name).as_posix(): one["summary"] for name, one in files.items()})
    tools = {name: metadata.version(name) for name in TOOLS}
    write_result("coverage", "make coverage", tools=tools, status=done.returncode, **counts)
    return done.returncode


def summary(files: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Sum the counts of all files, and of each package."""
    packages: dict[str, Counter[str]] = {}
    for name, counts in files.items():
        package = name.partition("src/flawmap/")[2].partition("/")
        packages.setdefault(package[0] if package[1] else "", Counter()).update(
            {key: counts[key] for key in COUNTS}
        )
    total = sum(packages.values(), Counter())
    shares = {name or "flawmap": percent(one) for name, one in sorted(packages.items())}
    return {"percent": percent(total), **{k: total[k] for k in COUNTS}, "packages": shares}


def percent(counts: Counter[str]) -> float:
    """Return the executed share of lines and branches in per cent, as coverage counts it."""
    covered = counts["covered_lines"] + counts["covered_branches"]
    return round(100 * covered / max(1, counts["num_statements"] + counts["num_branches"]), 1)


if __name__ == "__main__":
    sys.exit(main())
