"""Options of a training started from a page, and the commands that carry it out."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flawmap.inspection.bundle.manifest import MANIFEST, SETTINGS
from flawmap.station.config import StationConfig
from flawmap.station.improve.dataset import DATA, GROUP, LIST

RUN, OUTPUT = "run", "output.txt"
LEAST_GOOD = 6
"""Images of good parts that a training needs: five are held out, for the thresholds."""
INSTALL = "pip install 'flawmap[train]'"
_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Options(BaseModel):
    """How to train; what is not given follows from the images, as for `flawmap train`."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["destseg", "adps", "stpm"] = "destseg"
    steps: int | None = Field(None, ge=2, le=1_000_000, description="default: the method's")
    size: str | None = Field(
        None, pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$", description="working HEIGHTxWIDTH"
    )
    rotate: Literal["auto", "none", "slight", "full", "draem"] = "auto"
    folds: Literal[0, 5] = Field(0, description="5: calibrate on all images, in six times the time")

    def arguments(self) -> list[str]:
        """Return them as `flawmap train` takes them."""
        found = ["--method", self.method, "--rotate", self.rotate, "--folds", str(self.folds)]
        if self.steps is not None:
            found += ["--steps", str(self.steps)]
        return found if self.size is None else [*found, "--size", self.size]


def can_train() -> bool:
    """Whether the packages for training are installed."""
    return importlib.util.find_spec("torch") is not None


def train_command(folder: Path, options: Options) -> list[str]:
    """Return the command that trains in a job's folder, or goes on with a stopped training."""
    run = folder / RUN
    command = ["train", str(folder / DATA), "--out", str(run), "--layout", "folder"]
    command += ["--group", GROUP, *options.arguments()]
    return _child([*command, "--resume"] if (run / SETTINGS).exists() else command)


def predict_command(config: StationConfig, run: Path, folder: Path, out: Path) -> list[str]:
    """Return the command that inspects the parts of a comparison with one inspector."""
    runtime = ["--backend", config.backend, "--precision", config.precision]
    runtime += ["--device", config.device, "--threads", str(spare_threads())]
    what = ["--list", str(folder / LIST), "--json", str(out), "--on", "threads"]
    return _child(["predict", str(run), *what, *runtime])


def is_trained(folder: Path) -> bool:
    """Whether a job's training has ended with an inspector."""
    return (folder / RUN / MANIFEST).is_file()


def spare_threads() -> int:
    """Return how many threads a job may use, so that inspection goes on beside it."""
    return max(1, (os.cpu_count() or 1) // 2)


def environment() -> dict[str, str]:
    """Return the environment of a job's processes; limits that are set already stay."""
    limits = dict.fromkeys(_THREAD_LIMITS, str(spare_threads()))
    return limits | dict(os.environ) | {"PYTHONUNBUFFERED": "1"}


def _child(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "flawmap.station.improve.child", *arguments]
