"""One cycle of distillation, resumable at any checkpoint.

Each stage of the small network is lifted by a 1x1 projection to the width of a level of the
teacher. Loss, summed over stages: mean over positions of 1 - cos, plus a tenth of the squared error
in units of each channel's deviation (the cosine alone is ruled by the few channels that are always
large), plus, with ``likeness`` W, W times the squared difference between the cosines of pairs of
places within the small network's own features and within the teacher's (Tung and Mori, ICCV 2019):
methods compare places by the cosine of unlifted features, so that geometry should be the teacher's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flawmap.backbones.base import Backbone
from flawmap.backbones.features import IMAGENET_MEAN, IMAGENET_STD, ImageNorm
from flawmap.backbones.resnet import ResNet
from flawmap.backbones.weights import fold_batch_norm
from flawmap.training.distillation.network import WIDTHS, Lifts, small_network
from flawmap.training.distillation.views import Bank, draw_views, unit_range
from flawmap.utils.rng import keyed

DEVIATION_SHARE = 0.1  # of the squared error, beside 1 of the cosine
EMA = 0.998  # averages over the last 500 steps
_TOGETHER = 16  # images per batch when measuring


@dataclass(frozen=True)
class Recipe:
    """Settings of a distillation; ``side``: of the crops, in pixels."""

    steps: int
    seed: int = 0
    side: int = 160
    batch: int = 8
    rate: float = 3e-3
    likeness: float = 0.0


class Cycle:
    """Networks, their averages, the optimiser, and the step that they have reached.

    ``banks``: images and the share of a batch that each gives. ``start``: the state of an earlier
    cycle to begin from.
    """

    def __init__(
        self,
        teacher: Backbone,
        banks: list[tuple[Bank, float]],
        recipe: Recipe,
        start: dict[str, Tensor] | None = None,
    ) -> None:
        self.teacher, self.banks, self.recipe, self.step = teacher, banks, recipe, 0
        self.levels = pair_levels(len(teacher.channels))
        self.norms = ImageNorm(IMAGENET_MEAN, IMAGENET_STD), ImageNorm(teacher.mean, teacher.std)
        self.net = small_network()
        self.lifts = Lifts([teacher.channels[level] for level in self.levels])
        self._learn_scales()
        self.modules = nn.ModuleList([self.net, self.lifts])
        if start is not None:
            self.modules.load_state_dict(_under("mean.", start))
        self.average = deepcopy(self.modules)
        self.optimiser = torch.optim.AdamW(
            self.modules.parameters(), recipe.rate, weight_decay=0.02
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.rate, recipe.steps, pct_start=0.1, final_div_factor=100
        )

    def learn(self) -> list[float]:
        """Take one step; return 1 - cos of each stage."""
        views = self._views(self.step)
        targets = self._targets(views)
        angles, errors, unlike = [], [], []
        stages = self.net(self.norms[0](views))
        for stage, (small, large) in enumerate(zip(stages, targets, strict=True)):
            lifted, target = on_one_grid(self.lifts[stage](small), large)
            restored = self.lifts.restore(stage, lifted)
            angles.append(1 - F.cosine_similarity(restored, target).mean())
            errors.append(F.mse_loss(lifted, self.lifts.standardise(stage, target)))
            if self.recipe.likeness > 0:
                pair = on_one_grid(small, large)
                unlike.append(F.mse_loss(self._pairs(pair[0]), self._pairs(pair[1])))
        self.optimiser.zero_grad()
        loss = sum(angles) + DEVIATION_SHARE * sum(errors) + self.recipe.likeness * sum(unlike)
        loss.backward()  # type: ignore[union-attr]
        self.optimiser.step()
        self.schedule.step()
        self._average()
        self.step += 1
        return [float(angle.detach()) for angle in angles]

    def weights(self) -> dict[str, Tensor]:
        """Return the averaged small network, norms folded, in float16."""
        net, _ = self._averaged()
        return {name: value.half() for name, value in fold_batch_norm(net.state_dict()).items()}

    def state(self) -> dict[str, Tensor]:
        """Return everything that :meth:`resume` needs."""
        state = {"step": torch.tensor(self.step)}
        state |= {f"now.{name}": value for name, value in self.modules.state_dict().items()}
        state |= {f"mean.{name}": value for name, value in self.average.state_dict().items()}
        for i, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"adam.{i}.{name}": value for name, value in moments.items()}
        return {name: value.contiguous() for name, value in state.items()}

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state`."""
        self.step = int(state["step"])
        self.modules.load_state_dict(_under("now.", state))
        self.average.load_state_dict(_under("mean.", state))
        whole = self.optimiser.state_dict()
        for name, value in _under("adam.", state).items():
            i, moment = name.split(".")
            whole["state"].setdefault(int(i), {})[moment] = value
        self.optimiser.load_state_dict(whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses the optimiser's steps of before
            for _ in range(self.step):
                self.schedule.step()

    @torch.no_grad()
    def cosines(self, images: Bank) -> tuple[list[float], list[float]]:
        """Return mean cosines to the teacher's features, by stage; 1 is the same.

        The second list: those of a constant, the teacher's mean feature, for scale.
        """
        net, lifts = deepcopy(self._averaged())
        net.eval()
        sums = torch.zeros(2, len(WIDTHS), dtype=torch.float64)
        for start in range(0, len(images), _TOGETHER):
            views = unit_range(images[start : start + _TOGETHER])
            pairs = zip(net(self.norms[0](views)), self._targets(views), strict=True)
            for stage, (small, large) in enumerate(pairs):
                lifted, target = on_one_grid(lifts[stage](small), large)
                mean = lifts.get_buffer(f"mean{stage}").expand_as(target)
                for row, given in enumerate((lifts.restore(stage, lifted), mean)):
                    sums[row, stage] += len(views) * float(
                        F.cosine_similarity(given, target).mean()
                    )
        found: list[list[float]] = (sums / len(images)).tolist()
        return found[0], found[1]

    def _averaged(self) -> tuple[ResNet, Lifts]:
        net, lifts = self.average
        return cast(ResNet, net), cast(Lifts, lifts)

    def _views(self, step: int) -> Tensor:
        recipe = self.recipe
        return draw_views(self.banks, recipe.batch, recipe.side, recipe.seed, step)

    @torch.no_grad()
    def _targets(self, views: Tensor) -> list[Tensor]:
        """Return the teacher's level for each stage."""
        levels = self.teacher(self.norms[1](views))
        return [levels[level] for level in self.levels]

    @torch.no_grad()
    def _learn_scales(self) -> None:
        """Mean and deviation of the teacher's channels, over 8 batches that training never sees."""
        batches = [self._targets(self._views(2**40 + i)) for i in range(8)]
        for stage, features in enumerate(zip(*batches, strict=True)):
            values = torch.cat(features)
            deviation, mean = torch.std_mean(values, dim=(0, 2, 3), keepdim=True)
            self.lifts.get_buffer(f"mean{stage}").copy_(mean)
            self.lifts.get_buffer(f"deviation{stage}").copy_(deviation.clamp_min(1e-3))

    def _pairs(self, features: Tensor) -> Tensor:
        """Cosines between 64 random places of every image of the batch, (64 B, 64 B)."""
        rng = keyed(self.recipe.seed, 2**41 + self.step)
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


def pair_levels(count: int) -> Sequence[int]:
    """Return the teacher's level, of ``count``, that each stage imitates.

    >>> pair_levels(3), pair_levels(1), pair_levels(5)
    ([0, 1, 2], [0, 0, 0], [0, 2, 4])
    """
    last = len(WIDTHS) - 1
    return [round(stage * (count - 1) / last) for stage in range(len(WIDTHS))]


def on_one_grid(small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    """Average both maps over the cells of the coarser grid; equal grids stay as they are."""
    grid = min(small.shape[-2], large.shape[-2]), min(small.shape[-1], large.shape[-1])
    one, two = (
        x if tuple(x.shape[-2:]) == grid else F.adaptive_avg_pool2d(x, grid) for x in (small, large)
    )
    return one, two


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
