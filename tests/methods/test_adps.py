"""ADPS: the contract, and what methods.md part 2 says of it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from flawmap.backbones.resnet import WIDE_RESNET50_2, ResNetTeacher
from flawmap.errors import UsageError
from flawmap.methods.adps.config import PAPER, AdpsConfig
from flawmap.methods.adps.median_offset import MedianOffset
from flawmap.methods.adps.method import AdpsMethod
from flawmap.methods.adps.patches import join, split
from flawmap.methods.adps.segmentation import Gate, PostSegmentation, distance
from flawmap.methods.batch import Batch
from flawmap.methods.modules.losses import focal_loss
from methods.contract import MethodContract
from methods.tiny import SIZE, tiny_batch, tiny_teacher


class TestAdps(MethodContract):
    method = "adps"
    tiny: ClassVar = {"patches": 4, "widths": (8, 8, 8)}
    tiny_of: ClassVar = {"paper": {"phase": PAPER.phase.model_copy(
        update={"learning_rates": (2e-3, 2e-3)}
    ).model_dump()}}  # fmt: skip


def build(**changes: Any) -> AdpsMethod:
    torch.manual_seed(0)
    small = {"size": SIZE, "patches": 4, "widths": (8, 8, 8, 8)} | changes
    return AdpsMethod(tiny_teacher(), AdpsConfig.model_validate(small))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


# --- asymmetry


@pytest.mark.parametrize("count", [1, 2, 4])
def test_patches_are_cut_row_by_row_and_put_back(count):
    x = torch.arange(2 * 3 * 8 * 16).view(2, 3, 8, 16).float()
    patches = split(x, count)
    h, w = 8 // count, 16 // count
    assert patches.shape == (2 * count**2, 3, h, w)
    number = count + 1 if count > 1 else 0  # second row, second column of the first image
    row, column = divmod(number, count)
    assert torch.equal(patches[number], x[0, :, row * h : row * h + h, column * w : column * w + w])
    assert torch.equal(join(patches, count), x)


def test_student_sees_each_patch_alone(image):
    """Changing one patch changes the features inside it and nowhere else; the teacher's, beyond."""
    module = build().module.eval()
    changed = image.clone()
    changed[:, :, 16:32, 32:48] = 0.5  # patch (1, 2) of 4x4
    with torch.no_grad():
        levels = zip(module.student(image), module.student(changed), strict=True)
        for before, after in levels:
            side = before.shape[-1] // 4
            inside = torch.zeros(before.shape[-2:], dtype=torch.bool)
            inside[side : 2 * side, 2 * side : 3 * side] = True
            moved = (before != after).any(1)
            assert not moved[:, ~inside].any()
            assert moved[:, inside].any()
        teacher = module.teach(image)[0] != module.teach(changed)[0]
    assert teacher.any(1)[:, :4, 8:12].any() or teacher.any(1)[:, 4:8, 7].any()


def test_one_patch_is_the_symmetric_student(image):
    module = build(patches=1).module.eval()
    with torch.no_grad():
        expected = module.student.encoder(image)
        assert all(torch.equal(a, b) for a, b in zip(module.student(image), expected, strict=True))


def test_patches_cut_again_at_stage_1(image):
    """k=2 and 2 again: stages 2 and 3 see quarters of each patch's stage 1."""
    module = build(patches=2, stage1_patches=2).module.eval()
    encoder = module.student.encoder
    with torch.no_grad():
        found = module.student(image)
        patch = image[:1, :, :32, 32:]  # the first image's second patch
        first = encoder(patch)[0]
        second, third = encoder.later_levels(first[:, :, :4, 4:])  # its second quarter
    torch.testing.assert_close(found[0][:1, :, :8, 8:], first, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1][:1, :, :2, 6:], second, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[2][:1, :, :1, 3:], third, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("patches", "again"), [(8, 1), (4, 2), (2, 4)])
def test_patches_too_small_for_stage_3_do_not_fit(patches, again):
    config = AdpsConfig(patches=patches, stage1_patches=again)
    assert config.size_multiple(tiny_teacher()) == 128


def test_batch_norm_sees_all_patches():
    module, seen = build().module.train(), []
    module.student.encoder.bn1.register_forward_pre_hook(lambda m, x: seen.append(x[0].shape[0]))
    module.student(torch.rand(3, 3, *SIZE))
    assert seen == [3 * 16]


# --- Weight Mask Block


def test_weight_mask_by_hand():
    """Alike, across and against at three positions: C = 0, T and, being without sign, 2T -> T."""
    teacher = torch.tensor([[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    student = torch.tensor([[5.0, 0.0, 1.0], [0.0, 7.0, 3.0**0.5]]).view(1, 2, 1, 3)
    (found,) = Gate("weight", "cosine", (2,))([teacher], [student])
    expected = teacher * torch.tensor([0.0, 1.0, 0.5]).view(1, 1, 1, 3)
    torch.testing.assert_close(found, expected)
    assert not list(Gate("weight", "cosine", (2,)).parameters())


@pytest.mark.parametrize(
    ("how", "expected"), [("difference", 3.0), ("teacher", 4.0), ("student", 1.0)]
)
def test_other_gates_by_hand(how, expected):
    teacher, student = torch.full((1, 2, 1, 1), 4.0), torch.full((1, 2, 1, 1), 1.0)
    (found,) = Gate(how, "cosine", (2,))([teacher], [student])
    assert torch.equal(found, torch.full((1, 2, 1, 1), expected))


def test_concatenation_is_merged_to_the_levels_own_width():
    gate = Gate("concatenation", "cosine", (8, 16))
    pairs = [torch.rand(2, 8, 4, 4), torch.rand(2, 16, 2, 2)]
    assert [f.shape for f in gate(pairs, pairs)] == [p.shape for p in pairs]
    assert isinstance(gate.merge[0], nn.Conv2d)
    assert gate.merge[0].kernel_size == (3, 3)


def test_squared_distance_is_the_mean_over_channels():
    a, b = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([3.0, 2.0]).view(1, 2, 1, 1)
    assert distance(a, b, "squared").item() == pytest.approx((4 + 0) / 2)
    (gated,) = Gate("weight", "squared", (2,))([a], [b])
    assert torch.equal(gated, a), "a weight is at most 1"


def test_squared_distances_do_not_saturate_in_the_read_out(image):
    """Teacher's features are far from a student's that starts anew: by more than 1."""
    module = build(similarity="squared", segmentation=False, gate="none").module.eval()
    with torch.no_grad():
        for part in module.teacher.layer1.parameters():
            part.mul_(4.0)
        anomaly_map, score, distances = module(image)
    assert distances.max() > 1
    assert score.max() > 1
    assert anomaly_map.unique().numel() > anomaly_map.numel() / 2


# --- Post-Segmentation Module


def test_segmentation_of_the_paper():
    """256, 512, 1024 channels at 64, 32, 16 -> two classes at 256."""
    with torch.device("meta"):
        module = PostSegmentation((256, 512, 1024), PAPER.widths)
        levels = [torch.empty(2, c, n, n) for c, n in ((256, 64), (512, 32), (1024, 16))]
        assert module(levels).shape == (2, 2, 256, 256)
    first = module.blocks[0]
    assert isinstance(first.enlarge, nn.ConvTranspose2d)
    assert (first.enlarge.in_channels, first.enlarge.out_channels) == (1024, 256)
    convolutions = [m for m in first.merge if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convolutions] == [256 + 512, 256]
    assert [m.in_channels for m in module.blocks[2].merge if isinstance(m, nn.Conv2d)] == [64, 64]


def test_parameters_are_fewer_than_draems():
    """The paper: 50 million for both wide ResNets, fewer than DRAEM's 97 million in all."""
    with torch.device("meta"):
        module = AdpsMethod(ResNetTeacher(WIDE_RESNET50_2), PAPER).module
    total = sum(p.numel() for p in module.parameters())
    assert 50e6 < total < 97e6


def test_two_classes_softmax_is_the_sigmoid_read_out(image):
    module = build().module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        teacher, student = module.teach(x), module.student(x)
        both = module.head(module.gate(teacher, student))
        anomaly_map, score, _ = module(image)
    torch.testing.assert_close(anomaly_map, both.softmax(1)[:, 1], atol=1e-6, rtol=1e-5)
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(
        anomaly_map.double().numpy(), 4, axes=(1, 2), mode="nearest", radius=12
    )
    torch.testing.assert_close(
        score.double(), torch.from_numpy(blurred).amax((1, 2)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("widths", "side"), [((8, 8), 16), ((8, 8, 8), 32), ((8, 8, 8, 8), 64)])
def test_fewer_up_blocks_end_at_a_coarser_map(widths, side, image):
    module = build(widths=widths).module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        logits = module.segment(module.teach(x), module.student(x))
        assert logits.shape == (2, 1, side, side)
        assert module(image)[0].shape == (2, *SIZE)


def test_four_levels_add_the_stem(image):
    module = build(levels=4).module.eval()
    with torch.no_grad():
        levels = module.teach(module.normalise_image(image))
        assert levels[0].shape == (2, 8, 32, 32)
        assert torch.equal(levels[0], F.relu(module.teacher.conv1(module.normalise_image(image))))
        assert module(image)[2].shape == (2, 4, 16, 16)


def test_without_segmentation_and_gate_the_map_is_the_mean_distance(image):
    module = build(segmentation=False, gate="none").module.eval()
    assert isinstance(module.head, nn.Identity)
    with torch.no_grad():
        anomaly_map, _, distances = module(image)
    expected = F.interpolate(distances.mean(1, keepdim=True), SIZE, mode="bilinear")[:, 0]
    torch.testing.assert_close(anomaly_map, expected)


def test_without_segmentation_the_map_is_the_mean_of_the_gated_features(image):
    module = build(segmentation=False).module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        pairs = zip(module.teach(x), module.student(x), strict=True)
        gated = [(1 - F.cosine_similarity(t, s, dim=1))[:, None] * t for t, s in pairs]
        levels = [F.interpolate(g.mean(1, keepdim=True), (16, 16), mode="bilinear") for g in gated]
        expected = F.interpolate(sum(levels) / 3, SIZE, mode="bilinear")[:, 0]
        torch.testing.assert_close(module(image)[0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gate": "none"}, 'choose one, not "none"'),
        ({"gate": "concatenation", "segmentation": False}, "nothing would train"),
        ({"patches": 3}, "patches"),
    ],
)
def test_choices_that_do_not_fit_together_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        build(**changes)


# --- levelling


def plateau(low: float, high: float, share: float) -> torch.Tensor:
    """Logits (1, 1, 32, 32) that are ``high`` in this share of the rows."""
    logits = torch.full((1, 1, 32, 32), low)
    logits[:, :, : round(32 * share)] = high
    return logits


def test_levelling_lowers_what_is_unusual_and_no_more_than_it_may():
    level = MedianOffset(most=1.0)
    unusual = torch.cat([plateau(-2.4, 3.0, 0.25), plateau(-0.5, 3.0, 0.25)])
    assert torch.equal(level(unusual), unusual), "nothing is known yet"
    level.fit([plateau(-3.2, -3.0, 0.5), plateau(-3.0, 0.0, 0.25), plateau(-2.0, -2.0, 0.5)])
    assert level.usual.item() == -3.0
    shift = torch.tensor([0.6, 1.0]).view(2, 1, 1, 1)  # -2.4 and -0.5 against -3; at most 1
    torch.testing.assert_close(level(unusual), unusual - shift)
    usual = torch.cat([plateau(-3.0, 9.0, 0.25), plateau(-4.0, 9.0, 0.25)])
    assert torch.equal(level(usual), usual), "never higher, and a defect moves no median"


def test_levelling_is_fitted_on_good_images_and_changes_the_map(image):
    method = build(levelling=2.0)
    module = method.module.eval()
    with torch.no_grad():
        before = module(image)[0]
        method.fit_read_out([image[:1] * 0, image[1:] * 0, image[:1] * 0 + 1])
        after = module(image)[0]
    x = module.normalise_image(image)
    logits = module.segment(module.teach(x), module.student(x))
    cells = F.avg_pool2d(logits, 8).flatten(1)
    shift = (cells.sort(1).values[:, 31] - module.level.usual).clamp(0, 2).view(-1, 1, 1)
    torch.testing.assert_close(after.logit(), before.logit() - shift, atol=1e-4, rtol=1e-4)


def test_without_levelling_there_is_nothing_to_fit():
    for method in (build(), build(levelling=1.0, segmentation=False)):
        method.fit_read_out(iter(()))
        assert isinstance(method.module.level, nn.Identity)


def test_every_level_has_an_up_block():
    blocks = build(levels=4, widths=(16, 8)).module.head.blocks
    assert [block.enlarge.out_channels for block in blocks] == [16, 8, 8]


# --- losses


def by_hand(method: AdpsMethod, batch: Batch) -> tuple[float, list[torch.Tensor]]:
    """The distillation loss in double precision, and the levels' distances."""
    x = method.module.normalise_image(batch.corrupted)
    with torch.no_grad():
        pairs = list(zip(method.module.teach(x), method.module.student(x), strict=True))
    total, found = 0.0, []
    for t, s in pairs:
        cosine = F.cosine_similarity(t.double(), s.double(), dim=1)
        small = F.interpolate(batch.mask, cosine.shape[-2:], mode="bilinear")[:, 0] >= 0.5
        total += torch.where(small, cosine, 1 - cosine).mean().item()
        found.append(1 - cosine)
    return total, found


def test_distillation_pulls_on_good_positions_and_pushes_on_corrupted_ones():
    method, batch = build(), tiny_batch()
    x = method.module.normalise_image(batch.corrupted)
    found = method.distillation_loss(method.module.teach(x), method.module.student(x), batch.mask)
    assert found.item() == pytest.approx(by_hand(method, batch)[0], rel=1e-4)


def test_whole_loss_adds_the_focal_loss_times_lambda():
    batch = tiny_batch()
    for weight in (1.0, 2.5):
        method = build(segmentation_weight=weight)
        x = method.module.normalise_image(batch.corrupted)
        with torch.no_grad():
            logits = method.module.segment(method.module.teach(x), method.module.student(x))
            focal = focal_loss(logits, batch.mask, 2.0).item()
        expected = by_hand(method, batch)[0] + weight * focal
        assert method.loss(batch).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("detached", [False, True])
def test_focal_loss_reaches_the_student_through_the_gate_unless_detached(detached):
    method, batch = build(detach_gate=detached), tiny_batch()
    x = method.module.normalise_image(batch.corrupted)
    logits = method.module.segment(method.module.teach(x), method.module.student(x))
    focal_loss(logits, batch.mask, 2.0).backward()
    reached = any(p.grad is not None for p in method.module.student.parameters())
    assert reached != detached


def gradients(method: AdpsMethod, batch: Batch) -> list[torch.Tensor]:
    """The student's gradients; norms use their statistics, so that samples do not mix."""
    method.module.eval()
    method.loss(batch).backward()
    return [p.grad for p in method.module.student.parameters() if p.grad is not None]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_student_learns_nothing_from_real_defective_images(reduction):
    batch = tiny_batch()
    real, marked = torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 0.0, 1.0])
    found = []
    for change in (0.0, 0.4):
        corrupted = batch.corrupted.clone()
        corrupted[1:3] = (corrupted[1:3] + change).clamp(0, 1)
        shown = dataclasses.replace(batch, corrupted=corrupted, real=real, marked=marked)
        found.append(gradients(build(distillation_reduction=reduction), shown))
    assert len(found[0]) > 10
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
    method = build()
    all_real = dataclasses.replace(batch, real=torch.ones(4), marked=marked)
    assert not any(g.any() for g in gradients(method, all_real))
    assert all(p.grad is not None and p.grad.any() for p in method.module.head.parameters())


def test_without_real_images_the_loss_is_as_before_bit_for_bit():
    """Samples that are all good change nothing but the order of sums."""
    method, batch = build(), tiny_batch()
    x = method.module.normalise_image(batch.corrupted)
    features = method.module.teach(x), method.module.student(x)
    pulls = [
        torch.where(
            F.interpolate(batch.mask, d.shape[-2:], mode="bilinear")[:, 0] >= 0.5, 1 - d, d
        ).mean()
        for d in method.module.distances(*features)
    ]
    found = method.distillation_loss(*features, batch.mask)
    assert found.item() == torch.stack(pulls).sum().item()
    same = method.distillation_loss(*features, batch.mask, torch.zeros(4))
    assert same.item() == pytest.approx(found.item(), rel=1e-6)


def test_refining_goes_on_with_gate_and_head_alone():
    method, batch = build(), tiny_batch()
    (phase,) = method.refining()
    assert phase.sees_defects
    assert phase.config.learning_rates == (0.3 * method.config.phase.learning_rates[1],)
    phase.loss(batch).backward()
    assert all(p.grad is None for p in method.module.student.parameters())
    assert any(p.grad is not None for p in method.module.head.parameters())
    with pytest.raises(UsageError, match="no head"):
        build(segmentation=False, gate="none").refining()


def test_summed_distillation_counts_every_position():
    batch = tiny_batch()
    x = (means := build()).module.normalise_image(batch.corrupted)
    levels = means.module.teach(x), means.module.student(x)
    sums = build(distillation_reduction="sum")
    teacher, student = ((level[0][:, :, :1, :1],) for level in levels)  # one position of 4 images
    one = sums.distillation_loss(teacher, student, batch.mask)
    mean = means.distillation_loss(teacher, student, batch.mask)
    assert one.item() == pytest.approx(4 * mean.item(), rel=1e-5)


def test_a_level_is_corrupted_where_any_pixel_is_if_the_mask_is_pooled():
    method = build(distillation_mask="max")
    mask = torch.zeros(1, 1, *SIZE)
    mask[0, 0, 5, 20] = 1  # a single pixel
    small = method._at_level(mask, (4, 4))
    assert small.sum() == 1
    assert small[0, 0, 0, 1] == 1
    assert build()._at_level(mask, (4, 4)).sum() == 0


def test_paper_preset_is_the_published_schedule():
    phase = PAPER.phase
    assert (phase.optimiser, phase.weight_decay, set(phase.learning_rates)) == (
        "adamw",
        0.0,
        {1e-4},
    )
    assert (phase.schedule, PAPER.epochs, PAPER.batch_size, PAPER.patches) == ("drops", 300, 32, 8)
    assert PAPER.steps_for("draem", 320) == 3000
    assert (PAPER.anomalies.probability, PAPER.anomalies.texture_operations) == (0.5, 3)
