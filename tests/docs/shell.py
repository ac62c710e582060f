"""Run a page's ``sh`` lines: ``flawmap`` in this process, with the work scaled down.

What takes long is scaled down here and nowhere else: options are appended (``SCALED``), constants
of exports and timings are lowered (``LOWERED``), ``demo`` draws the tiny product and trains at a
small size for a few steps, and what an earlier page trained or drew with the same line is copied.
"""

from __future__ import annotations

import functools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import pytest

from flawmap.cli import main
from flawmap.demonstration import demo
from flawmap.exporting import quantization_scope
from flawmap.training import train as training

SCALED = {
    ("train",): "--size 64x64 --steps 4 --batch-size 2 --textures textures",
    ("export",): "--force",  # a model of a few steps exceeds the limits of INT8
    ("bench", "latency"): "--count 4",
    ("bench", "compare"): "",
    ("bench",): "--category screw --preset fast --teacher pocket --seed 0 --size 64x64 --steps 4 "
    "--batch-size 2 --textures textures",
}
LOWERED = {
    "flawmap.exporting.export._ANOMALIES": 12,
    "flawmap.exporting.synthetic._TEXTURES": 8,
    "flawmap.benchmark.latency._COLD_STARTS": 1,
    "flawmap.benchmark.latency._THROUGHPUT": 2,
    "flawmap.benchmark.latency._WARM_UP": 1,
    "flawmap.benchmark.latency.BATCHES": (1, 2),
}
_DEMO_STEPS = 4
_DEMO_SIZE = (64, 64)  # as that of other trainings in SCALED
_MAKES = ("train", "demo")  # what they make is copied where a later page has the same line
_PATIENCE = 60.0  # seconds


class Shell:
    """Runs commands in the current folder, as a reader would one after another."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, product: Path, trained: dict[str, Path]
    ) -> None:
        """``product`` is what the demo draws; ``trained`` keeps runs by the line that made them."""
        self._monkeypatch = monkeypatch
        self._trained = trained
        for name, value in LOWERED.items():
            monkeypatch.setattr(name, value)
        scopes = quantization_scope.scopes
        monkeypatch.setattr(quantization_scope, "scopes", lambda graph: scopes(graph)[-1:])
        monkeypatch.setattr(demo, "draw_dataset", lambda folder, _: copytree(product, folder))
        monkeypatch.setitem(demo.demo.__kwdefaults__, "steps", _DEMO_STEPS)
        monkeypatch.setattr(training, "train", functools.partial(training.train, size=_DEMO_SIZE))

    def run(self, command: str) -> None:
        """Run a command; fail unless it succeeds."""
        program, *words = shlex.split(command)
        assert program == "flawmap", f"{command}: cannot run here; say why before the block"
        words += _scaled(words)
        if words[0] in _MAKES and command in self._trained:
            copytree(self._trained[command], _out(words))
            return
        status = _interrupted(words) if "--watch" in words else self._in_process(words)
        assert status == 0, f"{command}: exit status {status}"
        if words[0] in _MAKES:
            self._trained[command] = _out(words).resolve()

    def _in_process(self, words: list[str]) -> object:
        self._monkeypatch.setattr(sys, "argv", ["flawmap", *words])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code


def _out(words: list[str]) -> Path:
    return Path(words[words.index("--out") + 1])


def _scaled(words: list[str]) -> list[str]:
    if "--table" in words:
        return []
    found = (more for verb, more in SCALED.items() if tuple(words[: len(verb)]) == verb)
    return next(found, "").split()


def _interrupted(words: list[str]) -> int:
    """Watch until a line is written, then press Ctrl-C; 0 if that ends it as documented."""
    lines = Path(words[words.index("--json") + 1])
    command = [sys.executable, "-m", "flawmap", *words]
    watching = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + _PATIENCE
    while not (lines.exists() and lines.read_text(encoding="utf-8").endswith("\n")):
        assert watching.poll() is None, "ended by itself"
        assert time.monotonic() < until, "wrote no line"
        time.sleep(0.1)
    watching.send_signal(signal.SIGINT)
    return 0 if watching.wait(_PATIENCE) == 130 else watching.returncode
