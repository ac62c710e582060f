"""Imports and calls of system-dependent parts as Windows has them, tried on any system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from test_base_install import HIDE

AS_WINDOWS = (
    HIDE
    + """
import importlib, os, pkgutil, signal, sys
import flawmap


def import_all():
    names = [m.name for m in pkgutil.walk_packages(flawmap.__path__, "flawmap.", onerror=print)]
    found = []
    for name in names:
        if name == "flawmap.__main__":
            continue
        try:
            importlib.import_module(name)
            found.append(name)
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] not in HIDDEN:
                raise
    return found


here = import_all()  # the standard library and all packages stay those of this system
for name in [name for name in sys.modules if name.partition(".")[0] == "flawmap"]:
    del sys.modules[name]
for name in ("fcntl", "resource", "grp", "pwd", "termios"):
    sys.modules[name] = None
for module, names in {
    os: ("mkfifo", "sched_getaffinity", "O_DIRECTORY", "O_NOFOLLOW", "fork", "getuid", "uname"),
    signal: ("SIGHUP", "SIGKILL", "SIGSTOP", "SIGCONT"),
}.items():
    for name in names:
        vars(module).pop(name, None)
kill, os.kill = os.kill, None  # which would end the process asked about
sys.platform = "win32"
import flawmap
there = import_all()
assert there == here, set(here) - set(there)

from pathlib import Path
from flawmap.benchmark.latency import _peak_mb
from flawmap.inspection.output.lines import LinesFile, read_lines
from flawmap.utils.files import sweep_below, write_json
from flawmap.utils.hardware import available_cores, hardware
from flawmap.utils.locks import only_writer
from flawmap.utils.signals import stopping_signals
from flawmap.inspection.record import InspectionRecord

folder = Path(sys.argv[1])
RECORD = {"path": "a.png", "error": "none", "run": "a", "model": "b", "settings": "c",
          "precision": "float32", "backend": "onnxruntime", "device": "cpu"}
(folder / ".flawmap-1.00000000.tmp").touch()
file = LinesFile(folder / "lines.jsonl")
with only_writer(folder):
    file.write(InspectionRecord(**RECORD))
    write_json(folder / "a.json", 1)
    sweep_below(folder)
file.close()
assert [line.path for _, line in read_lines(folder / "lines.jsonl")] == ["a.png"]
assert stopping_signals() == [signal.SIGTERM]
assert available_cores() == os.cpu_count()
assert hardware()["cores"] == os.cpu_count()
assert _peak_mb() is None
print(len(there))
"""
)


@pytest.mark.slow
def test_all_but_networks_can_be_imported_as_on_windows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_WINDOWS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"lines.jsonl", "a.json", ".flawmap-1.00000000.tmp"}
