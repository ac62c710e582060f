"""Distil the pocket teacher from the ImageNet ResNet-18 on images that the program draws.

The recipe is that of ``flawmap.training.distillation.cycle``.

    python tools/pocket/train.py --teacher resnet18_imagenet_bnfolded.safetensors --out runs/pocket

A killed run continues from its newest checkpoint when started again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from drawn_images import draw_bank
from measure import read_folder
from safetensors.torch import load_file, save_file
from torch import Tensor

from flawmap.backbones.weights import load_teacher
from flawmap.training.distillation.cycle import Cycle, Recipe
from flawmap.training.distillation.views import Bank


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    banks: list[tuple[Bank, float]] = [(drawn_bank(options), 1 - options.extra_share)]
    if options.extra is not None:
        banks.append((_extra_bank(options.extra), options.extra_share))
    Distillation(options, banks).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", type=Path, required=True, help="folded ImageNet weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=160, help="of the crops, pixels")
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bank", type=int, default=4608, help="images to draw; the last 512 are held out"
    )
    parser.add_argument("--extra", type=Path, help="folder of further images to train on")
    parser.add_argument("--extra-share", type=float, default=0.0)
    parser.add_argument("--likeness", type=float, default=0.0, help="weight of the pairs' term")
    parser.add_argument("--start", type=Path, help="folder of a run to begin from: a second cycle")
    parser.add_argument("--save-every", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ship", type=Path, help="where the folded float16 weights also go")
    return parser.parse_args()


def drawn_bank(options: argparse.Namespace) -> Bank:
    file = options.out.parent / f"bank_s{options.seed}_{options.bank}.npy"
    return draw_bank(options.bank, options.seed, file)[: options.bank - 512]


def _extra_bank(folder: Path) -> Bank:
    """Return seven of eight images of the folder; every eighth (by name) is held out."""
    paths = [path for i, path in enumerate(sorted(folder.rglob("*.*"))) if i % 8]
    return read_folder(paths)


class Distillation:
    """One run: a cycle, its log and its checkpoints in the folder ``--out``."""

    def __init__(self, options: argparse.Namespace, banks: list[tuple[Bank, float]]) -> None:
        self.options, start = options, None
        if options.start is not None:
            start = load_file(options.start / "checkpoint.safetensors")
        recipe = Recipe(
            options.steps, options.seed, options.side, options.batch, options.rate, options.likeness
        )
        self.cycle = Cycle(load_teacher(options.teacher)[0], banks, recipe, start)

    def run(self) -> None:
        """Go on from the newest checkpoint to the last step."""
        options, began, cycle = self.options, time.perf_counter(), self.cycle
        options.out.mkdir(parents=True, exist_ok=True)
        described = {name: str(value) for name, value in vars(options).items()}
        (options.out / "options.json").write_text(json.dumps(described, indent=2))
        checkpoint = options.out / "checkpoint.safetensors"
        if checkpoint.exists():
            cycle.resume(load_file(checkpoint))
        while cycle.step < options.steps:
            losses = cycle.learn()
            if cycle.step % 50 == 0:
                self._log(losses, time.perf_counter() - began)
            if cycle.step % options.save_every == 0 or cycle.step == options.steps:
                self._save()

    def _log(self, losses: list[float], seconds: float) -> None:
        line = {"step": self.cycle.step, "seconds": round(seconds, 1)}
        line |= {f"angle{k + 1}": round(loss, 4) for k, loss in enumerate(losses)}
        with (self.options.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        out: Path = self.options.out
        weights = self.cycle.weights()
        _write(weights, out / "pocket.safetensors")
        _write(self.cycle.average[1].state_dict(), out / "lifts.safetensors")
        if self.options.ship is not None:
            _write(weights, self.options.ship)
        _write(self.cycle.state(), out / "checkpoint.safetensors")


def _write(tensors: dict[str, Tensor], file: Path) -> None:
    partial = file.with_name(file.name + ".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.chmod(0o644)  # safetensors leaves 0600, which an installed package must not have
    partial.replace(file)


if __name__ == "__main__":
    main()
