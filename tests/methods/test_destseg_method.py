"""Which part learns in which phase."""

from __future__ import annotations

import pytest
import torch

from flawmap.errors import UsageError
from flawmap.methods.batch import Batch
from flawmap.methods.destseg.config import FAST, PAPER
from flawmap.methods.modules.features import normalise
from methods.tiny import tiny_batch, tiny_method

PRESETS = ("paper", "fast")


@pytest.fixture
def batch() -> Batch:
    return tiny_batch()


def prepared(preset: str, phase: str):
    """A method in the modes that the loop gives the phase."""
    method = tiny_method(preset)
    (chosen,) = [p for p in method.phases() if p.name == phase]
    method.module.eval().requires_grad_(False)
    for group in chosen.groups:
        group.train().requires_grad_(True)
    return method, chosen


def with_gradient(module: torch.nn.Module) -> set[str]:
    return {name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("phase", ["student", "head"])
def test_gradients_reach_one_network_and_all_of_it(preset, phase, batch):
    method, chosen = prepared(preset, phase)
    buffers = {k: v.clone() for k, v in method.module.named_buffers()}
    chosen.loss(batch).backward()
    assert with_gradient(method.module) == {phase}
    learning = dict(getattr(method.module, phase).named_parameters())
    assert all(p.grad is not None for p in learning.values())
    in_groups = {id(p) for group in chosen.groups for p in group.parameters()}
    assert in_groups == {id(p) for p in learning.values()}
    moved = {k for k, v in method.module.named_buffers() if not torch.equal(v, buffers[k])}
    assert moved
    assert all(name.startswith(f"{phase}.") for name in moved), "the rest is frozen"


@pytest.mark.parametrize("preset", PRESETS)
def test_student_learns_the_clean_features_of_the_corrupted_image(preset, batch):
    method, _ = prepared(preset, "student")
    module = method.module.eval()
    x = module.normalise_image(batch.corrupted)
    target = module.teacher(module.normalise_image(batch.clean))
    guessed = module.student(x, module.teacher(x))
    distances = [
        1 - (normalise(t) * normalise(s)).sum(1) for t, s in zip(target, guessed, strict=True)
    ]
    if preset == "fast":  # hard positions weigh more
        distances = [(d + 1e-4) / (d + 1e-4).mean() * d for d in distances]
    each = torch.stack([d.mean((1, 2)) for d in distances]).sum(0)
    expected = each.sum() if preset == "paper" else each.mean()
    torch.testing.assert_close(method.student_loss(batch), expected)


@pytest.mark.parametrize("preset", PRESETS)
def test_head_sees_the_corrupted_image_only(preset, batch):
    method, _ = prepared(preset, "head")
    method.module.eval()
    other = Batch(torch.zeros_like(batch.clean), batch.corrupted, batch.mask)
    assert torch.equal(method.head_loss(batch), method.head_loss(other))
    moved = Batch(batch.clean, batch.clean, batch.mask)
    assert not torch.equal(method.head_loss(batch), method.head_loss(moved))


@pytest.mark.parametrize("preset", PRESETS)
def test_no_forward_pass_is_thrown_away(preset, batch):
    """The head's phase runs the teacher once an image, the student's once each image it needs."""
    calls: list[int] = []
    for phase, images in (("student", {"paper": 4, "fast": 8}[preset]), ("head", 4)):
        method, chosen = prepared(preset, phase)
        calls.clear()
        method.module.teacher.register_forward_hook(lambda m, i, o: calls.append(len(i[0])))
        chosen.loss(batch)
        assert sum(calls) == images


def test_paper_trains_as_published():
    assert (PAPER.steps, PAPER.batch_size, PAPER.size) == (5000, 32, (256, 256))
    assert (PAPER.cosine_reduction, PAPER.focal_gamma, PAPER.l1_weight) == ("sum", 4.0, 1.0)
    assert PAPER.top_pixels == 100
    student, head = PAPER.student_phase, PAPER.head_phase
    assert student.learning_rates == (0.4,)
    assert head.learning_rates == (0.1, 0.01)
    for phase in (student, head):
        assert (phase.optimiser, phase.momentum, phase.weight_decay) == ("sgd", 0.9, 1e-4)
        assert phase.schedule == "constant"
    anomalies = PAPER.anomalies
    assert (anomalies.opacity, anomalies.threshold, anomalies.max_exponent) == ((0.2, 1.0), 0.5, 5)
    assert (anomalies.foreground_share, anomalies.field_degrees) == (0, 90)
    assert PAPER.rotation_fill == "grey"


def test_paper_head_has_two_rates():
    """Residual blocks at 0.1, the rest at 0.01: the groups stand in the order of the rates."""
    method = tiny_method("paper")
    groups = method.phases()[1].groups
    assert groups == (method.module.head.res, method.module.head.head)


@pytest.mark.parametrize("config", [PAPER, FAST])
def test_turned_parts_get_their_own_budget(config):
    assert config.steps_for("full", 100) == config.steps_when_turned
    assert config.steps_for("none", 100) == config.steps_for("slight", 100) == config.steps


def test_without_denoising_the_student_sees_the_clean_image(batch):
    method = tiny_method("paper", denoising=False)
    method.module.eval()
    other = Batch(batch.clean, torch.zeros_like(batch.corrupted), batch.mask)
    assert torch.equal(method.student_loss(batch), method.student_loss(other))
    corrupted = Batch(batch.corrupted, batch.corrupted, batch.mask)
    assert not torch.equal(method.student_loss(batch), method.student_loss(corrupted))


def test_only_the_head_sees_known_defects():
    assert {p.name: p.sees_defects for p in tiny_method("fast").phases()} == {
        "student": False, "head": True
    }  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_refining_goes_on_with_the_head_alone(preset):
    method = tiny_method(preset)
    before = {k: v.clone() for k, v in method.module.state_dict().items()}
    (phase,) = method.refining()
    assert all(torch.equal(v, before[k]) for k, v in method.module.state_dict().items())
    in_groups = {id(p) for group in phase.groups for p in group.parameters()}
    assert in_groups == {id(p) for p in method.module.head.parameters()}
    trained = method.phases()[1].config
    assert phase.config.learning_rates == tuple(0.3 * rate for rate in trained.learning_rates)
    assert phase.config.slowed(1.0) == phase.config
    steps = method.refining_steps(100)
    assert 0 < steps < method.config.steps_for("none", 100)


def test_refining_large_images_takes_fewer_steps():
    small, medium, large = (
        tiny_method("fast", size=size).refining_steps(100)
        for size in ((64, 64), (256, 320), (512, 384))
    )
    assert small == medium
    assert large == round(small * 1.3 / 3)


def test_without_a_head_there_is_nothing_to_refine():
    method = tiny_method("fast", head="none")
    assert not method.config.learns_defects
    with pytest.raises(UsageError, match="no head"):
        method.refining()
