from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from flawmap.methods.muon import NormedMuon
from flawmap.methods.optimisation import (
    PhaseConfig,
    build_optimisers,
    phase_steps,
    rate_factor,
    set_rate,
)


def config(**changes: object) -> PhaseConfig:
    plain = {"optimiser": "sgd", "learning_rates": (0.1,), "share": 0.5}
    return PhaseConfig.model_validate(plain | changes)


def test_constant_stays():
    assert {rate_factor(config(), done, 100) for done in range(100)} == {1.0}


def test_one_cycle_rises_to_one_and_falls_to_nothing():
    cycle = config(schedule="one-cycle")
    factors = [rate_factor(cycle, done, 1000) for done in range(1000)]
    top = max(range(1000), key=factors.__getitem__)
    assert factors[0] == pytest.approx(0.04)
    assert factors[top] == pytest.approx(1.0)
    assert top == 100
    assert factors[50] == pytest.approx((1 + 0.04) / 2), "half way up"
    assert factors[550] == pytest.approx(0.5), "half way down"
    assert 0 < factors[-1] < 1e-4
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_one_cycle_is_pytorchs():
    """PyTorch's peak stands one step earlier; but for that step of 0.008 the curves are one."""
    steps = 2000
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.0, steps, pct_start=0.1, final_div_factor=1e9, cycle_momentum=False
    )
    cycle = config(schedule="one-cycle")
    for done in range(steps - 1):
        expected = optimiser.param_groups[0]["lr"]
        assert rate_factor(cycle, done, steps) == pytest.approx(expected, abs=0.009)
        optimiser.step()
        reference.step()


@pytest.mark.parametrize("shares", [(0.2, 0.8), (0.5, 0.5), (0.1, 0.2, 0.7)])
@pytest.mark.parametrize("total", [10, 11, 240, 999, 5000])
def test_phase_steps_sum_to_the_total(shares, total):
    found = phase_steps([config(share=s) for s in shares], total)
    assert sum(found) == total
    for steps, share in zip(found, shares, strict=True):
        assert steps == pytest.approx(total * share, abs=1)


@pytest.mark.parametrize("total", [2, 3, 4])
def test_no_phase_is_left_without_a_step(total):
    found = phase_steps([config(share=s) for s in (0.2, 0.8)], total)
    assert min(found) >= 1
    assert sum(found) == total


def test_paper_phases():
    assert phase_steps([config(share=0.2), config(share=0.8)], 5000) == [1000, 4000]


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_groups_keep_their_own_rates(kind):
    modules = nn.Linear(2, 2), nn.Linear(2, 3)
    (optimiser,) = build_optimisers(modules, config(optimiser=kind, learning_rates=(0.1, 0.01)))
    set_rate([optimiser], 0.5)
    assert [g["lr"] for g in optimiser.param_groups] == [0.05, 0.005]
    set_rate([optimiser], 1.0)
    assert [g["lr"] for g in optimiser.param_groups] == [0.1, 0.01]
    assert [len(g["params"]) for g in optimiser.param_groups] == [2, 2]


def test_sgd_by_hand():
    """Momentum 0.9, weight decay 1e-4, no Nesterov: two steps of a constant gradient of 1."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    (optimiser,) = build_optimisers([module], config())
    weight, velocity = 2.0, 0.0
    for _ in range(2):
        module.weight.grad = torch.ones(1, 1)
        optimiser.step()
        velocity = 0.9 * velocity + 1 + 1e-4 * weight
        weight -= 0.1 * velocity
    assert module.weight.item() == pytest.approx(weight, rel=1e-6)


def test_a_rate_too_few_is_refused():
    with pytest.raises(ValueError, match="zip"):
        build_optimisers([nn.Linear(1, 1), nn.Linear(1, 1)], config())


def test_muon_turns_convolutions_before_a_norm_and_leaves_the_rest_to_adamw():
    modules = [
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)),
        nn.Conv2d(2, 2, 1, bias=False),
    ]
    found = build_optimisers(
        modules, config(optimiser="muon", learning_rates=(0.1, 0.05), rest_rate=0.003)
    )
    turned, rest = found
    assert isinstance(turned, NormedMuon)
    assert isinstance(rest, torch.optim.AdamW)
    assert [g["params"] for g in turned.param_groups] == [
        [modules[0][0].weight],
        [modules[1].weight],
    ]
    moved = {id(p) for g in rest.param_groups for p in g["params"]}
    assert moved == {id(p) for part in (modules[0][1], modules[0][2]) for p in part.parameters()}
    set_rate(found, 0.5)
    assert [g["lr"] for o in found for g in o.param_groups] == [0.05, 0.025, 0.0015]


@pytest.mark.parametrize("change", [{"share": 0}, {"optimiser": "lion"}, {"schedule": "cosine"}])
def test_config_refuses(change):
    with pytest.raises(ValidationError):
        config(**change)


def test_drops_to_a_fifth_twice():
    config = PhaseConfig(optimiser="adamw", learning_rates=(1e-4,), schedule="drops", share=1.0)
    found = [rate_factor(config, step, 300) for step in (0, 239, 240, 269, 270, 299)]
    assert found == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04])
