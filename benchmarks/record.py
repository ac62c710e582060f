"""Result files: what was measured, by which command, on which commit and machine."""

from __future__ import annotations

import datetime
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from flawmap.hardware import hardware, versions

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def commit() -> str:
    """Commit of the checkout, marked where files differ from it."""
    found = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return f"{found}+changes" if changed else found


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def write_result(name: str, **measured: Any) -> Path:
    """Write ``benchmarks/results/NAME.json``."""
    arguments = [str(Path(sys.argv[0]).name), *sys.argv[1:]]
    record = {
        "name": name,
        "command": shlex.join(["python", f"benchmarks/{arguments[0]}", *arguments[1:]]),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(),
        **measured,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))
    return path
