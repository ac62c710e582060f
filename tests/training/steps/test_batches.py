"""Batch t is a pure function of (seed, t)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from flawmap.methods.adps.config import PAPER
from flawmap.synthesis.anomalies import AnomalyConfig
from flawmap.synthesis.families.weights import FamilyWeights
from flawmap.training.steps.batches import Batch, BatchMaker

SIZE = (32, 32)


@pytest.fixture
def maker() -> BatchMaker:
    rng = np.random.default_rng(0)
    return BatchMaker(
        images=rng.integers(0, 256, (10, *SIZE, 3), np.uint8),
        textures=rng.integers(0, 256, (7, *SIZE, 3), np.uint8),
        anomalies=AnomalyConfig(foreground_share=0.5),
        batch_size=4,
        rotation="full",
        fill="edge",
        seed=3,
        device=torch.device("cpu"),
    )


def same(a: Batch, b: Batch) -> bool:
    pairs = [
        (getattr(a, f.name), getattr(b, f.name))
        for f in dataclasses.fields(Batch)
        if f.name != "rows"
    ]
    return all(one is two if one is None else torch.equal(one, two) for one, two in pairs)


def test_any_order_any_time_any_object(maker: BatchMaker):
    forward = [maker(t) for t in range(6)]
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002
    twin = dataclasses.replace(maker)
    for t in (5, 0, 3, 3, 1):
        assert same(twin(t), forward[t])


def test_every_step_and_seed_has_its_own(maker: BatchMaker):
    other = dataclasses.replace(maker, seed=4)
    batches = [m(t) for m in (maker, other) for t in range(8)]
    for name in ("clean", "corrupted", "mask"):
        drawn = {getattr(b, name).contiguous().numpy().tobytes() for b in batches}
        assert len(drawn) == len(batches), name


def test_families_are_drawn_by_seed_and_step_alone(maker: BatchMaker):
    weights = dict.fromkeys(FamilyWeights.model_fields, 1.0)
    maker = dataclasses.replace(maker, anomalies=AnomalyConfig(families=weights))
    forward = [maker(t) for t in range(6)]
    twin = dataclasses.replace(maker)
    for t in (5, 0, 3, 3, 1):
        assert same(twin(t), forward[t])
    for batch in forward:
        outside = (batch.mask == 0).expand_as(batch.clean)
        assert torch.equal(batch.clean[outside], batch.corrupted[outside])


def test_global_generators_stay_where_they_are(maker: BatchMaker):
    before = torch.get_rng_state()
    maker(0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("batch_size", [2, 4, 5, 10, 32])
def test_every_image_once_an_epoch(maker: BatchMaker, batch_size):
    maker = dataclasses.replace(maker, batch_size=batch_size)
    order = np.concatenate([maker.order(t) for t in range(80 // batch_size + 1)])
    epochs = order[: len(order) // 10 * 10].reshape(-1, 10)
    assert (np.sort(epochs, axis=1) == np.arange(10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "shuffled afresh"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_images_than_a_batch(maker: BatchMaker, count):
    maker = dataclasses.replace(maker, images=maker.images[:count])
    batch = maker(7)
    assert batch.clean.shape == batch.corrupted.shape == (4, 3, *SIZE)
    assert set(maker.order(7)) == set(range(count))


def test_rows_choose_the_images(maker: BatchMaker):
    """A share of the images through ``rows`` is that share alone, and every one once an epoch."""
    rows = np.array([1, 4, 5, 8, 9])
    chosen = dataclasses.replace(maker, rows=rows)
    alone = dataclasses.replace(maker, images=maker.images[rows])
    assert all(same(chosen(t), alone(t)) for t in range(4))
    order = np.concatenate([chosen.order(t) for t in range(5)])
    assert (np.sort(order.reshape(-1, 5), axis=1) == rows).all()


def test_shapes_ranges_and_layout(maker: BatchMaker):
    batch = maker(0)
    assert batch.clean.dtype == batch.corrupted.dtype == batch.mask.dtype == torch.float32
    assert batch.mask.shape == (4, 1, *SIZE)
    for x in (batch.clean, batch.corrupted):
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= x.min() < x.max() <= 1
    other = dataclasses.replace(maker, layout=torch.contiguous_format)(0)
    assert other.clean.is_contiguous()
    assert other.corrupted.is_contiguous()
    assert same(other, batch)
    outside = (batch.mask == 0).expand_as(batch.clean)
    assert torch.equal(batch.clean[outside], batch.corrupted[outside])


def test_read_only_and_memory_mapped_images(maker: BatchMaker, tmp_path):
    np.save(tmp_path / "images.npy", maker.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert same(dataclasses.replace(maker, images=mapped)(2), maker(2))


# --- rotation


def angles(maker: BatchMaker, rotation: str) -> np.ndarray:
    turned = dataclasses.replace(maker, rotation=rotation, batch_size=50)
    return np.concatenate([turned._degrees(t) for t in range(40)])


def test_slight_is_within_five_degrees(maker: BatchMaker):
    found = angles(maker, "slight")
    assert -5 <= found.min() < -4.9
    assert 4.9 < found.max() <= 5
    assert abs(found.mean()) < 0.2


def test_full_is_a_quarter_turn_and_five_degrees(maker: BatchMaker):
    found = angles(maker, "full")
    quarter = np.round(found / 90)
    assert (np.abs(found - 90 * quarter) <= 5).all()
    values, counts = np.unique(quarter, return_counts=True)
    assert values.tolist() == [0, 1, 2, 3]
    assert counts.min() > 0.85 * len(found) / 4


def test_none_gives_the_images_themselves(maker: BatchMaker):
    maker = dataclasses.replace(maker, rotation="none")
    clean = maker(0).clean.permute(0, 2, 3, 1).numpy() * 255
    np.testing.assert_array_equal(np.rint(clean).astype(np.uint8), maker.images[maker.order(0)])
    np.testing.assert_allclose(clean, np.rint(clean), atol=1e-4)


@pytest.mark.parametrize("rotation", ["slight", "full"])
def test_grey_fill_is_pillows_rotation(maker: BatchMaker, rotation):
    """Bilinear on the same canvas, corners grey (114, 114, 114); Pillow rounds to whole levels."""
    smooth = np.asarray(
        [Image.fromarray(p).resize((4, 4)).resize(SIZE, Image.BICUBIC) for p in maker.images]
    )
    maker = dataclasses.replace(maker, images=smooth, rotation=rotation, fill="grey")
    clean = (maker(1).clean * 255).permute(0, 2, 3, 1).numpy()
    for k, (row, degrees) in enumerate(zip(maker.order(1), maker._degrees(1), strict=True)):
        expected = Image.fromarray(smooth[row]).rotate(
            float(degrees), Image.BILINEAR, fillcolor=(114, 114, 114)
        )
        difference = np.abs(clean[k] - np.asarray(expected, float))
        assert np.median(difference) < 0.6
        assert np.abs(difference[4:-4, 4:-4]).max() < 3


def test_black_fill_is_black_outside_and_the_image_inside(maker: BatchMaker):
    """imgaug's default, which DRAEM and so ADPS's paper has."""
    white = np.full_like(maker.images, 255)
    maker = dataclasses.replace(maker, images=white, rotation="draem", fill="black", batch_size=64)
    clean = maker(0).clean
    turned = maker._degrees(0) != 0
    assert 0 < turned.sum() < 64
    assert clean[:, :, 12:20, 12:20].min() > 1 - 1e-6
    assert (clean[~turned] == 1).all()
    assert (clean[turned].amin((1, 2, 3)) == 0).float().mean() > 0.8
    assert PAPER.rotation_fill == "black"


def test_edge_fill_shows_no_foreign_colour(maker: BatchMaker):
    constant = np.full_like(maker.images, 200)
    maker = dataclasses.replace(maker, images=constant)
    torch.testing.assert_close(maker(0).clean, torch.full((4, 3, *SIZE), 200 / 255))


def test_the_clean_target_is_turned_with_the_corrupted(maker: BatchMaker):
    quiet = AnomalyConfig(threshold=9.0)
    batch = dataclasses.replace(maker, anomalies=quiet)(0)
    assert torch.equal(batch.clean, batch.corrupted)
    upright = dataclasses.replace(maker, anomalies=quiet, rotation="none")(0)
    assert not torch.equal(batch.clean, upright.clean)


def test_clean_images_are_numbered_where_they_come_again_unchanged(maker: BatchMaker):
    assert maker(0).rows is None  # turned
    still = dataclasses.replace(maker, rotation="none")
    for step in range(3):
        batch = still(step)
        assert batch.rows is not None
        read = torch.from_numpy(maker.images[batch.rows]).permute(0, 3, 1, 2).float() / 255
        assert torch.equal(batch.clean, read)


def test_without_anomalies_images_stay_good_and_are_the_same_ones(maker: BatchMaker):
    plain = dataclasses.replace(maker, anomalies=None, textures=maker.textures[:0])
    for step in range(3):
        batch = plain(step)
        assert torch.equal(batch.clean, maker(step).clean)
        assert torch.equal(batch.corrupted, batch.clean)
        assert batch.mask.shape == maker(step).mask.shape
        assert not batch.mask.any()


def test_draem_turns_three_in_ten_by_up_to_90_degrees(maker: BatchMaker):
    draem = dataclasses.replace(maker, rotation="draem", batch_size=100)
    degrees = np.concatenate([draem._degrees(step) for step in range(40)])
    assert (degrees != 0).mean() == pytest.approx(0.3, abs=0.03)
    assert np.abs(degrees).max() == pytest.approx(90, abs=2)
    assert degrees[degrees != 0].mean() == pytest.approx(0, abs=5)
    assert draem(0).rows is None
