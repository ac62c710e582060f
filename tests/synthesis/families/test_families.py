"""What every family owes, and what each promises of its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import torch

from flawmap.synthesis.anomalies import AnomalyParameters, corrupt, draw_parameters
from flawmap.synthesis.families.area import SHARE, SHARE_OF_PART, _cut
from flawmap.synthesis.families.faint import faint
from flawmap.synthesis.families.parts.pixels import near
from flawmap.synthesis.families.parts.visible import FLOOR
from flawmap.synthesis.families.weights import FamilyDraws
from flawmap.synthesis.foreground import foreground
from synthesis.families.scenes import NEW, disc, grain, make, only, scene

STEPS = 6
FIELDS = [f for f in dataclasses.fields(AnomalyParameters) if f.name != "families"]


def batches(family: str, clean: torch.Tensor, **changes):
    """Corrupted images and masks of some steps, one after the other."""
    made = [make(clean, only(family, **changes), step) for step in range(STEPS)]
    return tuple(torch.cat(parts) for parts in zip(*made, strict=True))


@pytest.mark.parametrize("family", NEW)
class TestEveryFamily:
    def test_is_a_function_of_its_draws_alone(self, family):
        clean, config = disc(4), only(family)
        before = clean.clone()
        first, twin, other = (make(clean, config, step) for step in (3, 3, 4))
        assert torch.equal(clean, before)
        assert all(torch.equal(a, b) for a, b in zip(first, twin, strict=True))
        assert not torch.equal(first[0], other[0])

    def test_a_sample_does_not_depend_on_those_beside_it(self, family):
        """Beside others of its family or alone, of the same image, which lends pieces to itself."""
        clean, config = disc(1).repeat(8, 1, 1, 1), only(family, foreground_share=0.5)
        drawn = draw_parameters(np.random.default_rng(0), 8, 1, config)
        together = corrupt(clean, 1 - clean, drawn, config)
        for row in range(8):
            alone = AnomalyParameters(
                **{f.name: getattr(drawn, f.name)[row : row + 1] for f in FIELDS},
                families=FamilyDraws(*(x[row : row + 1] for x in vars(drawn.families).values())),
            )
            single = corrupt(clean[:1], 1 - clean[:1], alone, config)
            for a, b in zip(together, single, strict=True):
                assert (a[row] != b[0]).float().mean() < 0.002  # rounding at the floor

    def test_outside_the_mask_nothing_changes(self, family):
        clean = disc(4)
        corrupted, mask = batches(family, clean, foreground_share=0.5)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1
        many = clean.repeat(STEPS, 1, 1, 1)
        outside = (mask == 0).expand_as(many)
        assert torch.equal(corrupted[outside], many[outside])

    def test_the_mask_is_where_it_changed_visibly(self, family):
        """Most of the masks is above the floor, and hardly a pixel is far from such a place."""
        clean = disc(4)
        corrupted, masks = batches(family, clean)
        difference = (corrupted - clean.repeat(STEPS, 1, 1, 1)).abs().mean(1).numpy()
        found = masks[:, 0].numpy() > 0
        assert found.any((1, 2)).mean() > 0.4
        means = scipy.ndimage.uniform_filter(difference, (0, 3, 3), mode="nearest")
        above = means > FLOOR * 0.99
        around = scipy.ndimage.binary_dilation(above, np.ones((1, 9, 9)))
        assert around[found].mean() > 0.98
        assert above[found].mean() > 0.6  # gaps between are closed

    def test_areas_from_a_few_pixels_to_more_than_a_tenth(self, family):
        shares = batches(family, disc(8), foreground_share=0.5)[1].mean((1, 2, 3)).numpy()
        small, large = np.percentile(shares[shares > 0], [5, 95])
        if family == "area":
            assert small > 0.02
            assert 0.2 < large <= SHARE[1] + 0.02
        else:
            assert small < 0.01
            assert large > (0.1 if family in ("moved", "removed") else 0.015)

    @pytest.mark.parametrize("size", [(64, 64), (640, 256), (50, 61)])
    def test_any_size_and_a_single_image(self, family, size):
        clean = grain(1, *size) * 0.5
        corrupted, mask = make(clean, only(family, foreground_share=1))
        assert corrupted.shape == clean.shape
        assert mask.shape == (1, 1, *size)

    @pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
    def test_constant_images(self, family, level):
        """There is no part, and nothing to move; what is laid on is seen all the same."""
        clean = torch.full((6, 3, 64, 64), level)
        corrupted, mask = batches(family, clean)
        assert corrupted.isfinite().all()
        if family in ("moved", "removed", "eaten"):
            assert not mask.any()

    def test_channels_last_is_the_same(self, family):
        clean = disc(4)
        laid_out = clean.contiguous(memory_format=torch.channels_last)
        for a, b in zip(make(clean, only(family)), make(laid_out, only(family)), strict=True):
            assert (a != b).float().mean() < 1e-3  # sums in another order


@pytest.mark.parametrize("family", [name for name in NEW if name != "area"])
def test_grey_images_stay_grey(family):
    clean = disc(6).mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    corrupted = batches(family, clean)[0]
    torch.testing.assert_close(corrupted[:, :1].expand_as(corrupted), corrupted)


@pytest.mark.parametrize("family", ["faint", "area", "scratch"])
def test_what_is_confined_stays_on_the_part(family):
    clean = disc(6)
    mask = batches(family, clean, foreground_share=1)[1] > 0
    on = scipy.ndimage.distance_transform_edt(~foreground(clean)[0, 0].numpy()) < 9
    assert mask.any()
    assert not mask[:, 0].numpy()[:, ~on].any()
    free = batches(family, clean, foreground_share=0)[1] > 0
    assert free[:, 0].numpy()[:, ~on].any()


@pytest.mark.parametrize(
    ("family", "first"), [("moved", [0.3, 0.9]), ("moved", [0.3, 0.9, 0.9, 0.1]), ("eaten", [])]
)
def test_grain_for_grain_is_not_seen(family, first):
    """One texture all over: a copy of it, from the image or another, looks as what was there."""
    clean = (near(near(grain(8))) - 0.5) * 1.5 + 0.5
    shares = [make(clean, only(family), step, first)[1].mean((1, 2, 3)) for step in range(STEPS)]
    assert torch.cat(shares).median() < 0.002
    lit = torch.cat([clean[:4], clean[4:] + 0.2])
    if first[2:]:  # the first image borrows from the last, which is brighter
        found = torch.stack([make(lit, only(family), t, first)[1][0].mean() for t in range(STEPS)])
        assert found.median() > 0.004


def test_faint_goes_down_to_what_is_barely_visible():
    clean = disc(8)
    corrupted, mask = batches("faint", clean)
    difference = (corrupted - clean.repeat(STEPS, 1, 1, 1)).abs().mean(1, keepdim=True)
    seen = mask.sum((1, 2, 3)) > 0
    strength = (difference.sum((1, 2, 3)) / mask.sum((1, 2, 3)))[seen] * 255
    low, high = np.percentile(strength, [10, 90])
    assert low < 8
    assert 15 < high < 90
    assert seen.float().mean() > 0.5


@pytest.mark.parametrize("kind", range(7))
def test_each_kind_of_faint_does_what_it_says(kind):
    """On a coloured checkerboard, inside the blob alone; the kind is the family's own number."""
    rows, columns = np.mgrid[:128, :128] // 8
    board = torch.from_numpy((rows + columns) % 2).float()
    clean = torch.stack([0.3 + 0.4 * board, 0.5 + 0.1 * board, 0.4 - 0.2 * board])[None]
    seen = scene(clean)
    seen.dice.host = lambda: np.array([(kind + 0.5) / 8], np.float32)
    changed, mask = faint(seen)
    inside = mask[0, 0]
    if not inside.any():
        pytest.fail("the seed draws a visible one")
    before, after = clean[0][:, inside], changed[0][:, inside]
    spread = [float(x.std(1).mean()) for x in (before, after)]
    colour = [x.mean(1) - x.mean() for x in (before, after)]
    if kind == 0:
        assert ((after - before).mean(1).abs() > 1 / 255).all()
    elif kind in (1, 5, 6):
        assert spread[0] != pytest.approx(spread[1], rel=0.01)
    else:
        assert not torch.allclose(*colour, atol=0.002)


def test_an_area_covers_its_share():
    """Of the image, or of the part where it is confined."""
    for confined in (0.0, 1.0):
        shares = batches("area", grain(8), foreground_share=confined)[1].mean((1, 2, 3)).numpy()
        most = (SHARE_OF_PART if confined else SHARE)[1]
        assert shares.max() <= most + 0.01
        assert 0.08 < np.median(shares[shares > 0]) < most


@pytest.mark.parametrize("share", [0.1, 1 / 3, 0.4])
def test_the_cut_leaves_the_share_of_what_is_allowed(share):
    field = grain(3)[:, :1]
    allowed = torch.zeros_like(field)
    allowed[..., 32:96, 16:112] = 1
    cut = _cut(field, allowed, torch.full((3, 1, 1, 1), share))
    above = (field[..., 32:96, 16:112] > cut).float().mean((1, 2, 3))
    torch.testing.assert_close(above, torch.full((3,), share), atol=0.04, rtol=0)


def test_scratches_are_thin_and_long():
    masks = batches("scratch", torch.full((8, 3, 256, 256), 0.5))[1][:, 0].numpy() > 0
    masks = masks[masks.any((1, 2))]
    depth = [scipy.ndimage.distance_transform_edt(mask).max() for mask in masks]
    reach = [max(np.ptp(x) for x in np.nonzero(mask)) for mask in masks]
    assert len(masks) > 0.9 * 8 * STEPS
    assert np.percentile(depth, 90) <= 5  # with a rim, and where two cross
    assert np.median(reach) > 20


def test_the_whole_part_is_removed():
    """The disc is gone, and the mask is the disc."""
    clean = disc(6)
    on = clean[0].mean(0) > 0.5
    corrupted, mask = make(clean, only("removed"), first=[0.95])
    assert corrupted.max() < 0.3
    assert mask[:, 0, on].all()
    outside = ~scipy.ndimage.binary_dilation(on.numpy(), iterations=4)
    assert mask[:, 0].numpy()[:, outside].mean() < 0.02


def test_the_part_broken_off_along_a_line():
    """Some of the disc remains, and what is gone is ground."""
    clean = disc(8)
    on = clean[0].mean(0) > 0.5
    corrupted, mask = make(clean, only("removed"), first=[0.75])
    gone = mask[:, 0, on].mean(1)
    assert (gone > 0.02).sum() >= 5, "a line may pass it by"
    assert 0.15 < gone.mean() < 0.85
    assert corrupted.mean(1)[:, on][mask[:, 0, on] > 0].median() < 0.3


def test_the_part_is_doubled():
    """Numbers 0 to 3: a copy (0.3) of the whole (0.1), far away (0.1)."""
    clean = disc(8, radius=20)
    corrupted, mask = make(clean, only("moved"), first=[0.3, 0.1, 0.1, 0.9])
    on = clean[0].mean(0) > 0.5
    assert (corrupted.mean(1)[:, on] > 0.5).float().mean() > 0.8, "the first one is there still"
    others = ((corrupted.mean(1) > 0.5) & ~on).sum((1, 2)) / on.sum()
    assert others.median() > 0.2, "and most of another"
    assert (mask.sum((1, 2, 3)) > 0).all()


def test_the_part_is_moved_and_leaves_ground_behind():
    clean = disc(8, radius=20)
    corrupted, mask = make(clean, only("moved"), first=[0.9, 0.1, 0.1, 0.9])
    on = clean[0].mean(0) > 0.5
    there = (corrupted.mean(1) > 0.5).flatten(1).sum(1) / on.sum()
    assert there.max() < 1.3, "there is one, or less where it went over the rim"
    left = (corrupted.mean(1)[:, on] < 0.3).float().mean(1)
    assert left.median() > 0.5
    assert (mask[:, 0, on].mean(1) > 0.3).all()


def test_other_images_of_the_batch_lend_pieces():
    """Two plain grounds with a bright and a dark disc: pieces of the one turn up in the other."""
    clean = disc(2)
    clean[1] = 1 - clean[1]
    found = [
        make(clean, only("moved"), step, first=[0.3, 0.9, 0.9, 0.1])[0][0].amin()
        for step in range(STEPS)
    ]
    assert min(found) < 0.1 < clean[0].amin()


def test_bites_take_from_the_part_and_growths_add_to_it():
    clean = disc(8)
    on = clean[0].mean(0) > 0.5
    bitten, mask = make(clean, only("eaten"), first=[0.7])
    assert mask.any()
    assert mask[:, 0, on].sum() > 0.8 * mask.sum()
    assert bitten.mean(1)[:, on][mask[:, 0, on] > 0].median() < 0.3
    grown, mask = make(clean, only("eaten"), first=[0.9])
    assert mask.any()
    assert mask[:, 0, ~on].sum() > 0.8 * mask.sum()
    assert grown.mean(1)[:, ~on][mask[:, 0, ~on] > 0].median() > 0.5
