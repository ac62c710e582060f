"""Distil the pocket teacher from the ImageNet ResNet-18 on images that the program draws.

Each pocket stage is lifted by a 1x1 projection to the teacher's width. Loss, summed over stages:
mean over positions of 1 - cos, plus a tenth of the squared error in units of each channel's
deviation (the few channels that are always large dominate the cosine), plus, with
--likeness W, W times the squared difference between the cosines of pairs of places within the
pocket's own features and within the teacher's (Tung and Mori, ICCV 2019): methods compare places
by the cosine of unlifted features, so that geometry should be the teacher's too.

    python tools/pocket/train.py --teacher resnet18_imagenet_bnfolded.safetensors --out runs/pocket

A killed run continues from its newest checkpoint when started again.
"""

from __future__ import annotations

import argparse
import json
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from drawn_images import draw_bank
from measure import read_folder
from network import Lifts, PocketNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from views import Bank, draw_views

from flawmap.backbones.weights import fold_batch_norm, load_teacher

DEVIATION_SHARE = 0.1  # weight of the squared error; the cosine has weight 1
EMA = 0.998  # averages over the last 500 steps


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
    """One run: networks, their averages, the optimiser, and the current step."""

    def __init__(self, options: argparse.Namespace, banks: list[tuple[Bank, float]]) -> None:
        self.options, self.banks, self.step = options, banks, 0
        self.teacher = load_teacher(options.teacher)[0]
        self.net = PocketNet()
        self.lifts = Lifts()
        self._learn_scales()
        self.modules = nn.ModuleList([self.net, self.lifts])
        if options.start is not None:
            earlier = load_file(options.start / "checkpoint.safetensors")
            self.modules.load_state_dict(_under("mean.", earlier))
        self.average = deepcopy(self.modules)
        self.optimiser = torch.optim.AdamW(
            self.modules.parameters(), options.rate, weight_decay=0.02
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, options.rate, options.steps, pct_start=0.1, final_div_factor=100
        )

    def run(self) -> None:
        """Continue from the newest checkpoint to the last step."""
        options, began = self.options, time.perf_counter()
        options.out.mkdir(parents=True, exist_ok=True)
        described = {name: str(value) for name, value in vars(options).items()}
        (options.out / "options.json").write_text(json.dumps(described, indent=2))
        self._resume()
        while self.step < options.steps:
            losses = self._learn()
            self.step += 1
            if self.step % 50 == 0:
                self._log(losses, time.perf_counter() - began)
            if self.step % options.save_every == 0 or self.step == options.steps:
                self._save()

    def _views(self, step: int) -> Tensor:
        return draw_views(
            self.banks, self.options.batch, self.options.side, self.options.seed, step
        )

    @torch.no_grad()
    def _learn_scales(self) -> None:
        """Mean and deviation of the teacher's channels, over 8 batches not used in training."""
        batches = [self.teacher(self._views(2**40 + i)) for i in range(8)]
        for stage, features in enumerate(zip(*batches, strict=True)):
            values = torch.cat(features)
            deviation, mean = torch.std_mean(values, dim=(0, 2, 3), keepdim=True)
            self.lifts.get_buffer(f"mean{stage}").copy_(mean)
            self.lifts.get_buffer(f"deviation{stage}").copy_(deviation.clamp_min(1e-3))

    def _learn(self) -> list[float]:
        """Run one step; return 1 - cos of each stage."""
        views = self._views(self.step)
        with torch.no_grad():
            targets = self.teacher(views)
        angles, errors, unlike = [], [], []
        for stage, (small, big) in enumerate(zip(self.net(views), targets, strict=True)):
            lifted = self.lifts[stage](small)
            angles.append(1 - F.cosine_similarity(self.lifts.restore(stage, lifted), big).mean())
            errors.append(F.mse_loss(lifted, self.lifts.standardise(stage, big)))
            if self.options.likeness > 0:
                unlike.append(F.mse_loss(self._pairs(small), self._pairs(big)))
        self.optimiser.zero_grad()
        loss = sum(angles) + DEVIATION_SHARE * sum(errors) + self.options.likeness * sum(unlike)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self._average()
        return [float(angle.detach()) for angle in angles]

    def _pairs(self, features: Tensor) -> Tensor:
        """Return cosines between 64 random positions of each image of the batch, (64 B, 64 B)."""
        key = np.array([self.options.seed, 2**41 + self.step], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        places = torch.from_numpy(rng.choice(features[0, 0].numel(), 64, replace=False))
        chosen = features.flatten(2)[:, :, places].transpose(1, 2).flatten(0, 1)  # (64 B, C)
        chosen = F.normalize(chosen, dim=1)
        return chosen @ chosen.T

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        now = self.modules.state_dict()
        for name, mean in self.average.state_dict().items():
            mean.lerp_(now[name], 1 - keep) if mean.is_floating_point() else mean.copy_(now[name])

    def _log(self, losses: list[float], seconds: float) -> None:
        line = {"step": self.step, "seconds": round(seconds, 1)}
        line |= {f"angle{k + 1}": round(loss, 4) for k, loss in enumerate(losses)}
        with (self.options.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    # --- checkpoints: tensors only, written atomically

    def _save(self) -> None:
        out: Path = self.options.out
        net, lifts = self.average
        weights = {n: w.half() for n, w in fold_batch_norm(net.state_dict()).items()}
        _write(weights, out / "pocket.safetensors")
        _write(lifts.state_dict(), out / "lifts.safetensors")
        if self.options.ship is not None:
            _write(weights, self.options.ship)
        _write(self._state(), out / "checkpoint.safetensors")

    def _state(self) -> dict[str, Tensor]:
        state = {"step": torch.tensor(self.step)}
        state |= {f"now.{name}": value for name, value in self.modules.state_dict().items()}
        state |= {f"mean.{name}": value for name, value in self.average.state_dict().items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"adam.{i}.{name}": value for name, value in moments.items()}
        return state

    def _resume(self) -> None:
        file = self.options.out / "checkpoint.safetensors"
        if not file.exists():
            return
        state = load_file(file)
        self.step = int(state["step"])
        self.modules.load_state_dict(_under("now.", state))
        self.average.load_state_dict(_under("mean.", state))
        whole = self.optimiser.state_dict()
        for name, value in _under("adam.", state).items():
            i, moment = name.split(".")
            whole["state"].setdefault(int(i), {})[moment] = value
        self.optimiser.load_state_dict(whole)
        for _ in range(self.step):
            self.schedule.step()


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def _write(tensors: dict[str, Tensor], file: Path) -> None:
    partial = file.with_name(file.name + ".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial)
    partial.chmod(0o644)  # safetensors leaves 0600, which an installed package must not have
    partial.replace(file)


if __name__ == "__main__":
    main()
