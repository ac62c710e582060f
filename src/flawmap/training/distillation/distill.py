"""``flawmap distill``: make a small teacher from a large one and from one's own images."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from flawmap.backbones.base import Backbone
from flawmap.backbones.licence import licence_notice
from flawmap.backbones.provider import TeacherSource
from flawmap.backbones.registry import load_backbone
from flawmap.errors import UsageError
from flawmap.methods.config import nearest_size
from flawmap.training.distillation.cycle import Cycle, Recipe
from flawmap.training.distillation.images import load_banks
from flawmap.training.distillation.views import Bank
from flawmap.utils.files import OURS, check_writable, write_bytes

STEPS = 3000
_SUFFIX = ".safetensors"
_STRIDE = 16  # of the small network's last stage
_SAVE_EVERY = 100  # steps

Say = Callable[[str], None]
Show = Callable[[int, int], None]


@dataclass(frozen=True)
class Distilled:
    """A distilled teacher: ``cosine`` and ``constant`` are means over held-out images, by stage."""

    file: Path
    megabytes: float
    parameters: int
    cosine: tuple[float, ...]
    """Of its lifted features and the large teacher's; 1 is the same."""
    constant: tuple[float, ...]
    """Of a constant, the large teacher's mean feature, for scale."""
    held_out: int
    """Pieces of images that it was measured on, and not trained on."""
    seconds: float


def distill(
    teacher: str | os.PathLike[str],
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    steps: int = STEPS,
    seed: int = 0,
    say: Say = lambda text: None,
    show: Show = lambda done, total: None,
) -> Distilled:
    """Train a small ResNet to give the features of ``teacher`` on the images of a folder.

    ``out`` (.safetensors) is then a teacher for ``train``: a ResNet-18 at half of its widths, 0.7
    million parameters. Every eighth image is held out to measure on. A stopped distillation goes on
    from its newest checkpoint when called again. ``say`` receives messages, ``show`` the progress.
    Raises FlawmapError or UsageError if teacher or images are not available or ``out`` exists.
    """
    file, began = Path(out), time.monotonic()
    _check_out(file)
    backbone, source = load_backbone(teacher)
    if notice := licence_notice(source.name, backbone.weights_licence):
        say(notice)
    learned, held = load_banks(Path(images), say)
    side, _ = nearest_size((160, 160), _multiple(backbone))
    recipe = Recipe(steps, seed, side)
    torch.manual_seed(seed)
    cycle = Cycle(backbone, [(learned, 1.0)], recipe)
    _run(cycle, _Checkpoint.of(file, recipe, source, learned), show, say)
    return _finish(cycle, file, held, source, backbone.weights_licence, began)


def _check_out(file: Path) -> None:
    if file.suffix != _SUFFIX:
        raise UsageError(f"--out {file}: give a name that ends in {_SUFFIX}.")
    if file.exists():
        raise UsageError(f"{file} exists already: give another --out.")
    check_writable(file)


def _multiple(backbone: Backbone) -> int:
    """Return what the side of a crop must be a multiple of, for both networks."""
    return math.lcm(_STRIDE, backbone.size_multiple)


@dataclass(frozen=True)
class _Checkpoint:
    """The file beside the result that an unfinished distillation is kept in."""

    file: Path
    settings: str

    @classmethod
    def of(cls, out: Path, recipe: Recipe, source: TeacherSource, bank: Bank) -> _Checkpoint:
        settings = asdict(recipe) | {
            "teacher": source.sha256,
            "images": hashlib.sha256(bank.data).hexdigest(),
        }
        return cls(out.with_name(f"{OURS}{out.name}.checkpoint"), json.dumps(settings))

    def write(self, state: dict[str, Tensor]) -> None:
        write_bytes(self.file, save(state, {"settings": self.settings}))

    def read(self) -> dict[str, Tensor] | None:
        """Return the state of the same distillation, None if there is none."""
        try:
            with safe_open(self.file, framework="pt") as found:
                if (found.metadata() or {}).get("settings") != self.settings:
                    return None
                return {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return None


def _run(cycle: Cycle, checkpoint: _Checkpoint, show: Show, say: Say) -> None:
    """Go on from the newest checkpoint to the last step."""
    steps = cycle.recipe.steps
    if (state := checkpoint.read()) is not None:
        cycle.resume(state)
        say(f"Going on after step {cycle.step} of {steps}.")
    while cycle.step < steps:
        cycle.learn()
        show(cycle.step, steps)
        if cycle.step % _SAVE_EVERY == 0 or cycle.step == steps:
            checkpoint.write(cycle.state())


def _finish(
    cycle: Cycle, file: Path, held: Bank, source: TeacherSource, licence: str, began: float
) -> Distilled:
    """Measure and write the small network, and remove the checkpoint."""
    multiple = _multiple(cycle.teacher)
    side = max(1, held.shape[1] // multiple) * multiple
    cosine, constant = cycle.cosines(held[:, :side, :side])
    weights = cycle.weights()
    about = {"distilled_from": source.name, "licence_of_that": licence}
    data = save({name: value.contiguous() for name, value in weights.items()}, about)
    write_bytes(file, data)
    file.with_name(f"{OURS}{file.name}.checkpoint").unlink(missing_ok=True)
    return Distilled(
        file,
        len(data) / 1e6,
        sum(value.numel() for value in weights.values()),
        tuple(cosine),
        tuple(constant),
        len(held),
        time.monotonic() - began,
    )
