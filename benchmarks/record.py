"""Result files: measurements with their command, commit and machine."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path, PurePath
from typing import Any

from flawmap.benchmark.provenance import provenance
from flawmap.utils.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def portable(argument: str) -> str:
    """Return an argument without a machine's paths: ../shared/..., or a path's last name.

    >>> portable("/home/me/shared/data/parts"), portable("/tmp/x/run"), portable("--only")
    ('../shared/data/parts', 'run', '--only')
    """
    path = PurePath(argument)
    if not path.is_absolute():
        return argument
    if "shared" in path.parts:
        return PurePath("..", *path.parts[path.parts.index("shared") :]).as_posix()
    return path.name


def write_result(name: str, command: str = "", **measured: Any) -> Path:
    """Write ``benchmarks/results/NAME.json``; ``command`` defaults to this process's."""
    script = f"benchmarks/{Path(sys.argv[0]).name}"
    command = command or shlex.join(["python", script, *map(portable, sys.argv[1:])])
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"name": name, **provenance(command), **measured})
    print(path.read_text(encoding="utf-8"))
    return path
