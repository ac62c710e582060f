"""Options of a training started from a page, and the commands that carry it out.

Its folder has the data set in ``data``, the run in ``run``, and what its processes say.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flawmap.inspection.bundle.manifest import CHECKPOINTS, MANIFEST, SETTINGS
from flawmap.station.config import StationConfig
from flawmap.station.database.tables import Job

RUN, OUTPUT, DATA, LIST = "run", "output.txt", "data", "compared.txt"
GOOD, DEFECTIVE, CALIBRATE = "good", "defective", "calibrate"
"""Folders of the data set, the last one beside it, and what an image in them is called."""
GROUP = "([0-9a-f]{16})-"
"""What in a file's name says which part it shows, as `flawmap train --group` takes it."""
LEAST_GOOD = 6
"""Images of good parts that a training needs: five are held out, for the thresholds."""
INSTALL = "pip install 'flawmap[train]'"
RunProcess = Callable[[Job, Sequence[str], str], None]
"""Run a command of a job to its end, and say on the page what it does. Raises FlawmapError."""
_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Options(BaseModel):
    """How to train; what is not given follows from the images, as for `flawmap train`."""

    model_config = ConfigDict(extra="forbid")

    method: Literal["destseg", "adps", "stpm"] | None = Field(
        None, description="default: that of the model in force, at first destseg"
    )
    anew: bool = Field(
        False,
        description="train anew even if the model in force could be refined, as any of the "
        "other options does",
    )
    steps: int | None = Field(None, ge=2, le=1_000_000, description="default: the method's")
    size: str | None = Field(
        None, pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$", description="working HEIGHTxWIDTH"
    )
    rotate: Literal["auto", "none", "slight", "full", "draem"] = "auto"
    folds: Literal[0, 5] = Field(0, description="5: calibrate on all images, in six times the time")

    def arguments(self, method: str) -> list[str]:
        """Return them as `flawmap train` takes them."""
        found = ["--method", method, "--rotate", self.rotate, "--folds", str(self.folds)]
        if self.steps is not None:
            found += ["--steps", str(self.steps)]
        return found if self.size is None else [*found, "--size", self.size]


def can_train() -> bool:
    """Whether the packages for training are installed."""
    return importlib.util.find_spec("torch") is not None


def train_command(folder: Path, options: Options, method: str, use_defects: bool) -> list[str]:
    """Return the command that trains in a job's folder, or goes on with a stopped training."""
    command = ["train", str(folder / DATA), "--out", str(folder / RUN), "--layout", "folder"]
    command += ["--group", GROUP, *options.arguments(method)]
    return _resumed([*command, "--use-defects"] if use_defects else command, folder)


def refine_command(folder: Path, parent: Path, good: bool, defects: bool) -> list[str]:
    """Return the command that refines a run in a job's folder, or goes on with that."""
    command = ["refine", str(parent), "--out", str(folder / RUN)]
    command += ["--good", str(folder / DATA / GOOD)] if good else []
    command += ["--defects", str(folder / DATA)] if defects else []
    return _resumed(command, folder)


def calibrate_command(folder: Path) -> list[str]:
    """Return the command that adds the sampled good parts to the images that calibrate."""
    return _child(["calibrate", str(folder / RUN), str(folder / CALIBRATE), "--add"])


def region_command(run: Path, drawing: Path) -> list[str]:
    """Return the command that sets a run's region of interest."""
    return _child(["regions", str(run), "--roi", str(drawing)])


def export_command(run: Path, to: Sequence[str]) -> list[str]:
    """Return the command that exports a run; `to`: its options that say to what."""
    return _child(["export", str(run), *to])


def predict_command(config: StationConfig, run: Path, folder: Path, out: Path) -> list[str]:
    """Return the command that inspects the parts of a comparison with one inspector."""
    runtime = ["--backend", config.backend, "--precision", config.precision]
    runtime += ["--device", config.device, "--threads", str(spare_threads())]
    what = ["--list", str(folder / LIST), "--json", str(out), "--on", "threads"]
    return _child(["predict", str(run), *what, *runtime])


def is_trained(folder: Path) -> bool:
    """Whether a job's training has ended with an inspector; checkpoints are removed last."""
    run = folder / RUN
    return (run / MANIFEST).is_file() and not (run / CHECKPOINTS).is_dir()


def spare_threads() -> int:
    """Return how many threads a job may use, so that inspection goes on beside it."""
    return max(1, (os.cpu_count() or 1) // 2)


def environment() -> dict[str, str]:
    """Return the environment of a job's processes; limits that are set already stay."""
    limits = dict.fromkeys(_THREAD_LIMITS, str(spare_threads()))
    return limits | dict(os.environ) | {"PYTHONUNBUFFERED": "1"}


def _resumed(command: list[str], folder: Path) -> list[str]:
    return _child([*command, "--resume"] if (folder / RUN / SETTINGS).exists() else command)


def _child(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "flawmap.station.improve.child", *arguments]
