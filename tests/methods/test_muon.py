from __future__ import annotations

import pytest
import torch
from torch import nn

from flawmap.backbones.blocks import BasicBlock
from flawmap.backbones.resnet import ResNetTeacher
from flawmap.methods.destseg.config import FAST, PAPER
from flawmap.methods.destseg.head import PyramidHead
from flawmap.methods.destseg.student import GuidedStudent, Student
from flawmap.methods.muon import NormedMuon, orthogonal, scale_free


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16), (1, 9), (5, 1)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_orthogonal_is_near_the_polar_factor(shape, scale):
    matrix = scale * random(*shape)
    found = orthogonal(matrix)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    singular = torch.linalg.svdvals(found)
    assert singular.min() > 0.6
    assert singular.max() < 1.25
    kept = (found * (u @ vt)).sum() / (found.norm() * (u @ vt).norm())
    assert kept > 0.97, "directions are the polar factor's, as far as singular values allow"


def test_the_small_square_matrix_gives_what_rounds_on_the_matrix_itself_give():
    matrix = random(12, 40)
    x = matrix / matrix.norm()
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    torch.testing.assert_close(orthogonal(matrix), x, rtol=1e-4, atol=1e-5)


def test_no_gradient_no_direction():
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_a_step_turns_the_weight_by_its_rate(rate):
    weight = nn.Parameter(random(8, 4, 3, 3))
    optimiser = NormedMuon([{"params": [weight], "lr": rate}])
    before = weight.detach() / weight.detach().norm() * 8**0.5
    weight.grad = random(8, 4, 3, 3, seed=1)
    optimiser.step()
    assert (weight.detach() - before).norm() == pytest.approx(rate * 8**0.5, rel=1e-4)
    assert ((weight.detach() - before) * weight.grad).sum() < 0, "downhill"


def test_scale_of_gradient_and_weight_do_not_matter():
    ends = []
    for of_weight, of_gradient in ((1, 1), (50, 1e-4)):
        weight = nn.Parameter(of_weight * random(6, 10))
        optimiser = NormedMuon([{"params": [weight], "lr": 0.1}])
        for seed in range(1, 4):
            weight.grad = of_gradient * random(6, 10, seed=seed)
            optimiser.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-3, atol=1e-4)


def test_a_weight_without_gradient_stays():
    weight = nn.Parameter(random(3, 3))
    NormedMuon([{"params": [weight], "lr": 0.1}]).step()
    assert torch.equal(weight, random(3, 3))


def test_it_learns_faster_than_adamw_on_an_ill_conditioned_problem():
    """The reason for its use: directions of small gradient are learnt at the speed of the rest."""

    def loss_after(build) -> float:
        inputs = random(256, 32, seed=2) * torch.logspace(0, -2, 32)
        target = nn.functional.normalize(inputs @ random(32, 32, seed=3), dim=1)
        weight = nn.Parameter(random(32, 32, seed=4))
        optimiser = build(weight)
        for step in range(100):
            optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 100)
            optimiser.zero_grad()
            loss = 1 - (nn.functional.normalize(inputs @ weight.T, dim=1) * target).sum(1).mean()
            loss.backward()
            optimiser.step()
        return loss.item()

    muon = loss_after(lambda w: NormedMuon([{"params": [w]}]))
    adamw = loss_after(lambda w: torch.optim.AdamW([w]))
    assert muon < 0.8 * adamw


@pytest.mark.parametrize(
    "module",
    [
        BasicBlock(4, 8, 2),
        GuidedStudent(0.5, ResNetTeacher()),
        Student(0.5, ResNetTeacher()),
        PyramidHead((64, 128, 256)),
    ],
    ids=lambda m: type(m).__name__,
)
def test_scaling_what_counts_as_scale_free_changes_nothing(module):
    """The rule 'no bias, so a norm follows' holds in every network of `fast`."""
    module.train()
    features = tuple(random(2, c, s, s) for s, c in ((16, 64), (8, 128), (4, 256)))
    if isinstance(module, BasicBlock):
        arguments = (random(2, 4, 8, 8),)
    elif isinstance(module, (GuidedStudent, Student)):
        arguments = (random(2, 3, 64, 64), features)
    else:
        arguments = (features,)
    with torch.no_grad():
        before = module(*arguments)
        weights = scale_free(module)
        assert weights
        for weight in weights:
            weight.mul_(3.0)
        after = module(*arguments)
    torch.testing.assert_close(after, before, rtol=2e-3, atol=2e-3)


def test_presets():
    assert FAST.student_phase.optimiser == FAST.head_phase.optimiser == "muon"
    assert PAPER.student_phase.optimiser == PAPER.head_phase.optimiser == "sgd"
