"""The install without torch: everything but training works, and nothing heavy loads early."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
HIDE = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {"torch", "safetensors", "onnx", "onnxscript", "torchvision"}
asked = []


class WithoutTraining(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            asked.append(name)
            return None
        return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTraining
"""

VERBS = (
    HIDE
    + """
import json

import flawmap
import flawmap.benchmark.latency as latency
import flawmap.data.layouts, flawmap.data.image_io.images
import flawmap.evaluation.metrics, flawmap.evaluation.report
import flawmap.inspection.inspector
from flawmap.cli import main

flawmap.Inspector, flawmap.evaluate, flawmap.predict, flawmap.demo

latency._COLD_STARTS, latency._THROUGHPUT, latency.BATCHES = 1, 2, (1,)


def verb(*args):
    sys.argv = ["flawmap", *args]
    try:
        main()
    except SystemExit as done:
        return done.code


run, data, out = sys.argv[1:]
codes = [
    verb("--help"),
    verb("info", run),
    verb("evaluate", run, data, "--report", out + "/report.html"),
    verb("predict", run, data + "/test/good", "--out", out, "--json", out + "/lines.jsonl"),
    verb("drift", run, out + "/lines.jsonl"),
    verb("bench", "latency", run, data + "/test/good", "--count", "2"),
]
early = list(asked)
codes += [verb("train", data, "--out", out + "/new"), verb("demo", "--out", out + "/demo")]
loaded = sorted({name.partition(".")[0] for name in sys.modules} & HIDDEN)
print(json.dumps({"codes": codes, "asked": early, "loaded": loaded}))
"""
)


def run_python(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_every_verb_but_training_without_torch(
    run_copy: Path, tiny_data: Path, tmp_path: Path
) -> None:
    done = run_python(VERBS, run_copy, tiny_data, tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["codes"] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert found["asked"] == [], "the base install must not even look for these"
    assert found["loaded"] == []
    assert "Traceback" not in done.stderr
    assert done.stderr.count("pip install 'flawmap[train]'") == 2
    assert done.stderr.count("uvx --from 'flawmap[train]' flawmap demo\n") == 1
    assert (tmp_path / "report.html").is_file()
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "demo").exists()


def test_import_flawmap_loads_nothing_heavy() -> None:
    code = "import sys, flawmap; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = set(run_python(code).stdout.split())
    assert "flawmap" in loaded
    heavy = {"numpy", "PIL", "scipy", "onnxruntime", "pydantic", "tabulate", "click", "torch"}
    assert not loaded & heavy


def packages(*extras: str) -> set[str]:
    """Names of all packages of an install, flawmap included, as each declares its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [text for extra in extras for text in project["optional-dependencies"][extra]]
    waiting = [Requirement(text) for text in [*project["dependencies"], *more]]
    seen: set[str] = set()
    while waiting:
        need = waiting.pop()
        if str(need) not in seen:
            seen.add(str(need))
            waiting += wanted_by(need)
    return {"flawmap", *(canonicalize_name(Requirement(text).name) for text in seen)}


def wanted_by(need: Requirement) -> list[Requirement]:
    """The requirements of a package here, with the extras that are asked of it."""
    declared = [Requirement(text) for text in metadata.requires(need.name) or ()]
    environments = [{"extra": extra} for extra in need.extras or {""}]
    return [
        one for one in declared
        if one.marker is None or any(map(one.marker.evaluate, environments))
    ]  # fmt: skip


def test_the_base_install_pulls_in_at_most_20_packages() -> None:
    """As its packages declare, not as this environment happens to be."""
    found = packages()
    assert {"flawmap", "numpy", "pydantic-core", "click"} <= found
    assert not found & {"torch", "pytest"}
    assert len(found) <= 20, sorted(found)


def test_the_station_pulls_in_at_most_25_packages_more() -> None:
    more = packages("serve") - packages()
    assert {"fastapi", "sqlalchemy", "psycopg-binary"} <= more
    assert not more & {"torch", "opencv-python-headless", "asyncua"}
    assert len(more) <= 25, sorted(more)


def test_the_station_starts_without_torch() -> None:
    code = """
import tempfile
from pathlib import Path
from flawmap.station.app import create_app
from flawmap.station.config import StationConfig

with tempfile.TemporaryDirectory() as folder:
    app = create_app(StationConfig(data=Path(folder) / "station"))
    print(len(app.routes), "torch" in asked)
"""
    count, asked = run_python(HIDE + code).stdout.split()
    assert int(count) > 20
    assert asked == "False"


def test_help_loads_no_array_library() -> None:
    """``flawmap --help`` answers at once."""
    code = """
import sys
from flawmap.cli import main
sys.argv = ["flawmap", "--help"]
try:
    main()
except SystemExit:
    print(*sorted({m.partition(".")[0] for m in sys.modules}))
"""
    loaded = set(run_python(code).stdout.split())
    assert not loaded & {"numpy", "PIL", "scipy", "onnxruntime", "pydantic", "tabulate", "torch"}
