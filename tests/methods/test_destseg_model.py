"""DeSTSeg as published: parts, sizes, starts and read-out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from flawmap.backbones.blocks import BasicBlock, init_kaiming, two_blocks
from flawmap.backbones.resnet import RESNET18, ResNetTeacher
from flawmap.methods.destseg.background import BackgroundOffset
from flawmap.methods.destseg.config import BEST, FAST, PAPER, DestsegConfig
from flawmap.methods.destseg.head import PaperHead, compare
from flawmap.methods.destseg.model import Destseg
from flawmap.methods.destseg.student import Decoder, Encoder, PlainStudent
from flawmap.methods.modules.guided_filter import GuidedUpsampling
from methods.tiny import SIZE, tiny_config, tiny_method, tiny_teacher

PRESETS = ("paper", "fast")
WIDTHS = (64, 128, 256)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.fixture(scope="module")
def paper() -> Destseg:
    """At full size, but without memory or arithmetic."""
    with torch.device("meta"):
        return Destseg(ResNetTeacher(), PAPER).eval()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_parameters_of_the_paper(paper: Destseg):
    assert count(paper.teacher) == 2_780_544  # each norm folded into one bias
    assert count(paper.student.encoder) == 11_176_512
    assert count(paper.student.decoder) == 13_488_512
    assert isinstance(paper.head, PaperHead)
    assert count(paper.head.res) / 1e6 == pytest.approx(2.92, abs=0.005)
    assert count(paper.head.head) / 1e6 == pytest.approx(4.79, abs=0.005)
    assert count(paper.head) == 7_706_369
    assert count(paper) == 35_151_937


def test_work_of_the_paper(paper: Destseg):
    """38.4 GMAC at 256², of which the head is 31.3."""
    with FlopCounterMode(display=False) as counter:
        paper(torch.empty(1, 3, 256, 256, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(38.4, abs=0.05)
    head = sum(counter.get_flop_counts()["Destseg.head"].values())
    assert head / 2e9 == pytest.approx(31.3, abs=0.05)


def test_work_of_fast(paper: Destseg):
    with torch.device("meta"):
        fast = Destseg(ResNetTeacher(), FAST).eval()
        with FlopCounterMode(display=False) as counter:
            fast(torch.empty(1, 3, 256, 256))
    assert counter.get_total_flops() / 2e9 < 3, "of which the teacher is 1.8"
    assert count(fast) < count(paper) / 2


@pytest.mark.parametrize("preset", PRESETS)
def test_both_networks_give_features_of_one_shape(preset, image):
    module = tiny_method(preset).module.eval()
    teacher = module.teacher(image)
    student = module.student(image, teacher)
    expected = [(2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4)]
    assert [tuple(t.shape) for t in teacher] == expected
    assert [tuple(s.shape) for s in student] == expected
    assert all((s >= 0).all() for s in student), "after the last ReLU, as the teacher's"


def test_shapes_of_the_paper(paper: Destseg):
    x = torch.empty(2, 3, 256, 256, device="meta")
    expected = [(2, 64, 64, 64), (2, 128, 32, 32), (2, 256, 16, 16)]
    teacher = paper.teacher(x)
    student = paper.student(x, teacher)
    assert [tuple(t.shape) for t in teacher] == expected
    assert [tuple(s.shape) for s in student] == expected
    assert tuple(paper.student.encoder.encode(x)[3].shape) == (2, 512, 8, 8)
    assert tuple(paper.segment(teacher, student).shape) == (2, 1, 64, 64)


# --- how the networks start


def test_only_the_encoder_starts_as_its_short_cuts():
    """The last norm of a block starts at 0 in the student's encoder, at 1 everywhere else."""
    module = tiny_method("paper").module
    for part, expected in ((module.student.encoder, 0), (module.student.decoder, 1)):
        blocks = [m for m in part.modules() if isinstance(m, BasicBlock)]
        assert len(blocks) == 8
        assert all((b.bn2.weight == expected).all() for b in blocks)
        assert all((b.bn1.weight == 1).all() for b in blocks)
    last = {id(m.bn2) for m in module.student.encoder.modules() if isinstance(m, BasicBlock)}
    for norm in norms(module.student) + norms(module.head):
        assert (norm.weight == (0 if id(norm) in last else 1)).all()
        assert (norm.bias == 0).all()


def test_convolutions_start_as_the_paper_says():
    """Kaiming-normal fan-out in student and residual blocks, PyTorch's default in the rest."""
    torch.manual_seed(0)
    head = PaperHead((16, 16, 16), 32)
    parts = (Encoder((16, 32, 32, 32)), Decoder(32, (16, 32, 32), (16, 32, 32)), head.res)
    for convolution in (m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)):
        fan_out = convolution.out_channels * math.prod(convolution.kernel_size)
        assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.12)
    for convolution in (m for m in head.head.modules() if isinstance(m, nn.Conv2d)):
        fan_in = convolution.in_channels * math.prod(convolution.kernel_size)
        assert convolution.weight.abs().max().item() <= 1 / math.sqrt(fan_in)
        assert convolution.weight.abs().max().item() > 0.8 / math.sqrt(fan_in)


def test_init_leaves_nothing_random_but_convolutions():
    blocks = two_blocks(4, 8, 2)
    for norm in norms(blocks):
        nn.init.normal_(norm.weight)
    init_kaiming(blocks)
    assert all((n.weight == 1).all() for n in norms(blocks))
    x = torch.randn(2, 4, 8, 8)
    init_kaiming(blocks, zero_last_norm=True)
    short_cut = blocks[0].downsample(x).relu()
    torch.testing.assert_close(blocks(x), short_cut)


def test_no_way_around_the_bottleneck():
    """The decoder reads the coarsest level alone; of the finer ones it takes the size."""
    decoder = tiny_method("paper").module.student.decoder.eval()
    levels = [torch.randn(1, c, s, s) for c, s in ((8, 16), (16, 8), (32, 4), (64, 2))]
    first = decoder(tuple(levels))
    second = decoder((*(torch.randn_like(x) for x in levels[:3]), levels[3]))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_guided_student_reads_the_teachers_coarsest_features_alone():
    student = tiny_method("fast").module.student.eval()
    teacher = [torch.randn(1, c, s, s) for c, s in ((8, 16), (16, 8), (32, 4))]
    first = student(None, tuple(teacher))
    second = student(None, (*(torch.randn_like(x) for x in teacher[:2]), teacher[2]))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = student(None, (*teacher[:2], torch.randn_like(teacher[2])))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# --- the head's input and the read-out


class Spy(nn.Module):
    """A head that keeps what it was given and answers with a ramp at a quarter of the size."""

    def forward(self, products):
        self.products = products
        side = products[0].shape[-1]
        ramp = torch.linspace(-4, 4, side * side).view(1, 1, side, side)
        return ramp.flip(-1).repeat(len(products[0]), 1, 1, 1)


@pytest.mark.parametrize("preset", PRESETS)
def test_head_reads_minus_the_product_of_unit_features(preset):
    module = tiny_method(preset).module.eval()
    module.head = Spy()
    draw = torch.Generator().manual_seed(1)
    shapes = [(2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4)]
    teacher, student = (
        tuple(torch.rand(s, generator=draw) + 0.01 for s in shapes) for _ in range(2)
    )
    module.segment(teacher, student)
    for x, t, s in zip(module.head.products, teacher, student, strict=True):
        lengths = t.norm(dim=1, keepdim=True) * s.norm(dim=1, keepdim=True)
        torch.testing.assert_close(x, -(t * s) / lengths)
    module.segment(teacher, teacher)
    for x in module.head.products:
        torch.testing.assert_close(x.sum(1), torch.full_like(x.sum(1), -1.0))


def bilinear(small: np.ndarray, factor: int) -> np.ndarray:
    """Half-pixel bilinear enlargement, edges repeated, one axis after the other."""
    for axis in (0, 1):
        count = small.shape[axis]
        at = np.clip((np.arange(count * factor) + 0.5) / factor - 0.5, 0, count - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, count - 1)
        share = np.expand_dims(at - low, 1 - axis)
        small = small.take(low, axis) * (1 - share) + small.take(high, axis) * share
    return small


@pytest.mark.parametrize("preset", PRESETS)
def test_map_is_the_enlarged_sigmoid_and_score_its_top_100(preset, image):
    plain = {"guidance": 0.0, "distance_power": 0.0, "score_power": 0.0, "levelling": 0.0}
    module = tiny_method(preset, **plain).module.eval()
    module.head = Spy()
    with torch.no_grad():
        anomaly_map, score, _ = module(image)
    side = SIZE[0] // 4
    logits = np.linspace(-4, 4, side * side).reshape(side, side)[:, ::-1]
    expected = bilinear(1 / (1 + np.exp(-logits)), 4)
    assert anomaly_map.shape == (2, *SIZE)
    assert score.shape == (2,)
    np.testing.assert_allclose(anomaly_map[0].numpy(), expected, atol=1e-6)
    assert score[1].item() == pytest.approx(np.sort(expected.ravel())[-100:].mean(), abs=1e-6)


def test_only_fast_follows_the_images_edges():
    paper, fast = (tiny_method(preset).module.upsample for preset in PRESETS)
    assert isinstance(paper.smooth, nn.Identity)
    assert isinstance(fast.smooth, nn.Identity)
    assert paper.guided is None
    assert isinstance(fast.guided, GuidedUpsampling)


def test_only_fast_levels_its_map_before_it_is_enlarged(image):
    levelled, plain = (
        tiny_method("fast", guidance=0.0, levelling=most).module.eval() for most in (0.2, 0.0)
    )
    plain.load_state_dict(levelled.state_dict())
    small = []
    plain.upsample.register_forward_hook(lambda _module, given, _found: small.append(given[0]))
    with torch.no_grad():
        found = levelled(image)[0]
        plain(image)
        torch.testing.assert_close(found, levelled.upsample(BackgroundOffset(0.2)(small[0]), image))
    assert isinstance(tiny_method("paper").module.level, nn.Identity)


def test_top_pixels_never_exceed_the_map():
    module = tiny_method("fast", top_pixels=10**6, score_power=0.0).module.eval()
    module.head = Spy()
    anomaly_map, score, _ = module(torch.rand(1, 3, *SIZE))
    assert score.item() == pytest.approx(anomaly_map.mean().item(), abs=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_image_is_judged_alone(preset, image):
    module = tiny_method(preset).module.eval()
    with torch.no_grad():
        together, alone = module(image)[0], module(image[1:])[0]
    torch.testing.assert_close(together[1:], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_teacher_runs_once_an_image(preset, image):
    module = tiny_method(preset).module.eval()
    calls: list[int] = []
    module.teacher.register_forward_hook(lambda *_: calls.append(1))
    module(image)
    assert len(calls) == 1


def test_where_teacher_and_student_agree_the_head_counts_less(image):
    """By hand: the probability times the three distances to a power, and so the score."""
    changes = {"distance_power": 0.3, "score_power": 0.7, "guidance": 0.0, "levelling": 0.0}
    module = tiny_method("fast", top_pixels=32, **changes).module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        teacher = module.teacher(x)
        student = module.student(x, teacher)
        expected = module.segment(teacher, student).sigmoid()
        size = tuple(teacher[0].shape[-2:])
        product = torch.ones(2, 1, *size)
        for t, s in zip(teacher, student, strict=True):
            distance = 1 - F.cosine_similarity(t, s, dim=1, eps=1e-12)[:, None]
            product = product * F.interpolate(distance, size=size, mode="bilinear")
        expected = expected * product**0.3
        large = F.interpolate(expected, size=tuple(image.shape[-2:]), mode="bilinear")[:, 0]
        anomaly_map, score, _ = module(image)
        torch.testing.assert_close(anomaly_map, large, rtol=1e-4, atol=1e-5)
        highest = large.flatten(1).topk(32).values.mean(1)
        apart = product.flatten(1).topk(2).values.mean(1)  # 32 pixels are 2 cells of 4x4
        torch.testing.assert_close(score, highest * apart**0.7, rtol=1e-4, atol=1e-5)


# --- ablations


def test_without_a_head_the_map_is_the_product_of_distances(image):
    """DeST by hand: 1 - cosine of each level at the finest level's size, multiplied."""
    module = tiny_method("paper", head="none").module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        teacher, student = module.teacher(x), module.student(x, ())
        expected = 1.0
        for t, s in zip(teacher, student, strict=True):
            distance = 1 - F.cosine_similarity(t, s, dim=1, eps=1e-12)[:, None]
            size = tuple(teacher[0].shape[-2:])
            expected = expected * F.interpolate(distance, size=size, mode="bilinear")
        found, score, _ = module(image)
        large = F.interpolate(expected, size=tuple(image.shape[-2:]), mode="bilinear")[:, 0]
        torch.testing.assert_close(found, large, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(score, large.flatten(1).topk(100).values.mean(1))


def test_single_levels_multiply_to_all_of_them(image):
    def inner_map(levels):
        module = tiny_method("paper", head="none", levels=levels).module.eval()
        small = []
        module.upsample.register_forward_hook(lambda _module, given, _found: small.append(given[0]))
        module(image)
        return small[0]

    with torch.no_grad():
        product = inner_map((1,)) * inner_map((2,)) * inner_map((3,))
        torch.testing.assert_close(inner_map((1, 2, 3)), product)


@pytest.mark.parametrize(
    ("how", "channels"),
    [("products", (8, 16, 32)), ("distances", (1, 1, 1)), ("features", (16, 32, 64))],
)
def test_what_the_head_reads(how, channels, image):
    module = tiny_method("paper", head_input=how).module.eval()
    with torch.no_grad():
        x = module.normalise_image(image)
        teacher, student = module.teacher(x), module.student(x, ())
        found = compare(teacher, student, how)
    assert tuple(f.shape[1] for f in found) == channels
    for t, s, f in zip(teacher, student, found, strict=True):
        product = F.normalize(t, dim=1, eps=1e-12) * F.normalize(s, dim=1, eps=1e-12)
        expected = {
            "products": -product,
            "distances": 1 - product.sum(1, keepdim=True),
            "features": torch.cat([t, s], 1),
        }[how]
        torch.testing.assert_close(f, expected)


def test_a_plain_student_is_a_resnet_18_up_to_stage_3():
    plain = PlainStudent(ResNetTeacher(RESNET18))
    assert count(plain) == 2_782_784, "stem and stages 1-3 with their norms"
    shapes = [tuple(f.shape[1:]) for f in plain.eval()(torch.zeros(1, 3, 256, 256), ())]
    assert shapes == [(64, 64, 64), (128, 32, 32), (256, 16, 16)]


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("fast", {"decoder": False}, "without a decoder"),
        ("paper", {"levels": (1,)}, "without a head only"),
        ("paper", {"head": "none", "levels": ()}, "levels"),
        ("paper", {"head": "none", "levels": (0,)}, "levels"),
    ],
)
def test_changes_that_do_not_fit_together_are_refused(preset, changes, said):
    with pytest.raises(ValidationError, match=said):
        tiny_config(preset, **changes)


def test_without_a_head_the_student_learns_as_long_as_with_one():
    changes = PAPER.model_dump() | {"head": "none"}
    assert DestsegConfig.model_validate(changes).steps_for("full", 100) == 1000
    assert PAPER.steps_for("full", 100) == 5000


@pytest.mark.parametrize(("doublings", "finer"), [(0, 1), (1, 2), (2, 4)])
def test_the_pyramid_doubles_the_finest_level(image: torch.Tensor, doublings, finer):
    module = tiny_method("best", head_doublings=doublings).module.eval()
    with torch.no_grad():
        teacher = module.teacher(module.normalise_image(image))
        logits = module.segment(teacher, module.student(image, teacher))
        anomaly_map, score, distances = module(image)
    height, width = teacher[0].shape[-2:]
    assert logits.shape == (2, 1, finer * height, finer * width)
    assert distances.shape[-2:] == (height, width)
    assert (anomaly_map.shape, score.shape) == ((2, *SIZE), (2,))


def test_it_is_not_doubled_beyond_the_image():
    teacher = tiny_teacher()
    teacher.strides = (2, 8, 16)
    module = Destseg(teacher, tiny_config("best", head_doublings=2))
    assert len(module.head.doubled) == 1


def test_only_the_pyramid_doubles():
    with pytest.raises(ValidationError, match="only the pyramid head doubles"):
        tiny_config("paper", head_doublings=1)


def test_best_is_fast_made_larger():
    changed = {name for name, value in BEST if value != getattr(FAST, name)}
    assert changed == {
        "preset", "student_width", "head_widths", "head_doublings", "batch_size", "steps",
        "steps_when_turned",
    }  # fmt: skip
    assert DestsegConfig.model_validate(BEST.model_dump()) == BEST
