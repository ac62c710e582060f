from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from flawmap.backbones.resnet import IMAGENET_MEAN, IMAGENET_STD
from flawmap.backbones.weights import load_teacher
from flawmap.data.image_io.images import read_image
from flawmap.methods.destseg.config import PAPER
from flawmap.training.choices.rotation import RotationDecision, decide_rotation, paper_note

SIDE = 128


def features_of(teacher_file: str | Path):
    teacher, _ = load_teacher(teacher_file)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))

    def features(x: torch.Tensor):
        with torch.no_grad():
            return teacher((x - mean) / std)

    return features


@pytest.fixture(scope="module")
def pocket():
    return features_of("pocket")


def photograph(rng: np.random.Generator, draw, degrees: float) -> np.ndarray:
    """A part drawn on 128x128, turned, shifted by up to two pixels, with grain."""
    image = Image.new("L", (SIDE, SIDE), 40)
    draw(ImageDraw.Draw(image))
    shift = tuple(int(v) for v in rng.integers(-2, 3, 2))
    turned = image.rotate(degrees, Image.BICUBIC, translate=shift, fillcolor=40)
    noisy = np.asarray(turned, float)[..., None] + rng.normal(0, 3, (SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def striped(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((24, 10, 104, 118), fill=120)
    for x in range(30, 104, 12):
        pen.rectangle((x, 14, x + 5, 114), fill=230)


def screw(pen: ImageDraw.ImageDraw) -> None:
    pen.polygon([(16, 60), (80, 60), (80, 48), (112, 64), (80, 80), (80, 68), (16, 68)], fill=220)


def disc(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((24, 24, 104, 104), fill=200)
    pen.ellipse((52, 52, 76, 76), fill=60)


def photographs(draw, any_angle: bool, count: int = 24) -> np.ndarray:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 360, count) if any_angle else np.zeros(count)
    return np.stack([photograph(rng, draw, float(a)) for a in angles])


@pytest.mark.parametrize("draw", [striped, screw])
def test_an_upright_part_gets_no_quarter_turns(pocket, draw):
    decision = decide_rotation("auto", photographs(draw, any_angle=False), pocket)
    assert decision.rotation in ("none", "slight")
    assert "no longer resembles" in decision.reason or "±5°" in decision.reason


@pytest.mark.parametrize("draw", [screw, disc])
def test_a_part_at_any_angle_gets_all(pocket, draw):
    decision = decide_rotation("auto", photographs(draw, any_angle=True), pocket)
    assert decision.rotation == "full"
    assert "still resembles" in decision.reason


def test_oblong_pictures_are_never_turned_by_quarters(pocket):
    images = photographs(disc, any_angle=True)[:, 16:112]
    found = decide_rotation("auto", images, pocket)
    assert found.rotation != "full"
    assert found.any_angle, "which keeps a memory of places away"
    assert found.reason.endswith("but images that are not square would lose parts")
    upright = photographs(striped, any_angle=False)[:, 16:112]
    assert not decide_rotation("auto", upright, pocket).any_angle


def test_the_answer_depends_on_nothing_hidden(pocket):
    images = photographs(striped, any_angle=False)
    first = decide_rotation("auto", images, pocket)
    torch.manual_seed(8)
    assert decide_rotation("auto", images, pocket) == first


@pytest.mark.parametrize("choice", ["none", "slight", "full"])
def test_a_choice_is_kept(choice):
    decision = decide_rotation(choice, np.zeros((9, 4, 8, 3), np.uint8), None)
    assert (decision.rotation, decision.reason) == (choice, "as asked for")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_to_tell(count):
    decision = decide_rotation("auto", np.zeros((count, 8, 8, 3), np.uint8), None)
    assert decision.rotation == "none"
    assert "too few" in decision.reason


@pytest.mark.parametrize("count", [3, 6])
def test_identical_images_do_not_divide_by_zero(pocket, count):
    one = photographs(screw, any_angle=False, count=1)
    decision = decide_rotation("auto", np.repeat(one, count, 0), pocket)
    assert decision.rotation in ("none", "slight")


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("teacher", ["resnet18", "pocket"])
@pytest.mark.parametrize(
    ("category", "allowed"), [("screw", {"full"}), ("toothbrush", {"none", "slight"})]
)
def test_real_parts(shared_data: Path, shared_weights: Path, teacher, category, allowed):
    good = sorted((shared_data / "mvtec_ad_256" / category / "train" / "good").iterdir())
    features = features_of(shared_weights if teacher == "resnet18" else teacher)
    for first in (0, 100)[: 1 + (len(good) > 150)]:
        images = np.stack([read_image(path) for path in good[first : first + 32]])
        decision = decide_rotation("auto", images, features)
        assert decision.rotation in allowed, decision.reason


@pytest.mark.parametrize(
    ("category", "chosen", "told"),
    [
        (
            "screw",
            "none",
            "The paper uses rotation full for screw, not none: to reproduce",
        ),
        ("Cable", "full", "The paper uses rotation slight for Cable, not full"),
        ("screw", "full", None),
        ("toothbrush", "none", None),
        ("my_parts", "full", None),
    ],
)
def test_where_the_paper_turns_otherwise_it_is_told(category, chosen, told):
    note = paper_note(RotationDecision(chosen, ""), category, PAPER.paper_rotations)
    assert note == told if told is None else note.startswith(told)


def test_the_papers_table_has_all_fifteen_categories():
    assert len(PAPER.paper_rotations) == 15
