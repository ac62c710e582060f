"""No training step makes the host wait for the device, on any method, preset and anomaly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from flawmap.methods.optimisation import build_optimisers
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.synthesis.families.weights import FAMILY_NAMES, FamilyWeights
from flawmap.synthesis.operations import OPERATIONS
from flawmap.synthesis.textures import draw_textures
from flawmap.training.steps.batches import BatchMaker
from methods import test_adps, test_destseg, test_stpm
from methods.tiny import SIZE
from training.steps.waiting import META, WaitsError, no_waiting
from training.tiny import tiny_images

CONTRACTS = (test_destseg.TestDestseg, test_adps.TestAdps, test_stpm.TestStpm)
EACH = [(c, preset) for c in CONTRACTS for preset in c.presets]
STEPS = 3
ROTATIONS = ("none", "draem")


@pytest.mark.parametrize(("contract", "preset"), EACH)
def test_losses_and_gradients(tmp_path: Path, contract, preset):
    loop = contract().loop(tmp_path, preset)
    loop.batches = dataclasses.replace(loop.batches, device=META)
    loop.device = META
    loop.method.module.to(META)
    for phase in loop.method.phases():
        loop.set_modes(phase)
        compute = loop.gradients_of(phase)
        with no_waiting():
            loss = compute(loop.batches(0))
        assert loss.device == META
        assert all(p.grad is not None for group in phase.groups for p in group.parameters())


@pytest.mark.parametrize(
    ("family", "rotation"),
    [*((family, "full") for family in FAMILY_NAMES), *(("texture", one) for one in ROTATIONS)],
)
def test_every_anomaly(family, rotation):
    """With all options that a family has: lines, operations, confined and spared samples."""
    config = AnomalyConfig(
        foreground_share=0.5,
        probability=0.7,
        texture_operations=len(OPERATIONS),
        line_share=0.5,
        families=FamilyWeights(**{"texture": 0.01, family: 1.0}),
    )
    textures = draw_textures(3, SIZE, 0)
    batches = BatchMaker(tiny_images(), textures, config, 4, rotation, "edge", 0, META)
    with no_waiting():
        for step in range(STEPS):
            batch = batches(step)
    assert batch.corrupted.device == META


class _NoReads(TorchDispatchMode):
    """On a CPU a value is read without waiting; an optimiser that does it waits on a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero"):
            raise WaitsError(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("contract", "preset"), EACH)
def test_optimisers(tmp_path: Path, contract, preset):
    loop = contract().loop(tmp_path, preset)
    for phase in loop.method.phases():
        loop.set_modes(phase)
        optimisers = build_optimisers(phase.groups, phase.config)
        for group in phase.groups:
            for parameter in group.parameters():
                parameter.grad = torch.ones_like(parameter)
        with _NoReads():
            for optimiser in optimisers:
                optimiser.step()
                optimiser.step()


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: (x > 0).nonzero(),
        lambda x: torch.tensor([1.0, 2.0], device=x.device),
        lambda x: torch.from_numpy(np.ones(2)).to(x.device),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: x.cpu(),
    ],
)
def test_the_check_notices(waits):
    with pytest.raises((WaitsError, RuntimeError, NotImplementedError)), no_waiting():
        waits(torch.ones(3, device=META))
