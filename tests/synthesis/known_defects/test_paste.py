"""Pasting of known defects, against PIL's geometry and slow loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from flawmap.synthesis.known_defects.draws import CANDIDATES, KnownDraws
from flawmap.synthesis.known_defects.paste import (
    Defects,
    _colour_change,
    paste_defects,
    show_defects,
)

H, W = 64, 96
LETTER = (slice(24, 40), slice(40, 48)), (slice(34, 40), slice(40, 58))  # an L: no symmetry


def letter() -> torch.Tensor:
    mask = torch.zeros(1, 1, H, W)
    for place in LETTER:
        mask[0, 0][place] = 1
    return mask


def noise(seed: int = 0, low: float = 0.3, high: float = 0.7) -> torch.Tensor:
    """A texture that is foreground everywhere."""
    rng = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(1, 3, H, W, generator=rng)


def defects(image: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> Defects:
    mask = letter() if mask is None else mask
    rows, columns = np.nonzero(mask[0, 0].numpy())
    centre = [(rows.mean() + 0.5) / H, (columns.mean() + 0.5) / W]
    image = noise(1) if image is None else image
    return Defects(image, mask, torch.tensor([centre], dtype=torch.float32))


def draws(at: tuple[float, float] | None = None, **changes: Any) -> KnownDraws:
    """One sample that changes nothing; ``at``: centre in 0..1."""
    place = np.float32(at if at is not None else defects().centres[0].tolist())
    same: dict[str, Any] = {
        "shown": True, "pasted": True, "defect": 0, "piece": 0, "degrees": 0.0, "turns": 0.0,
        "scale": 1.0,
        "flipped": (False, False), "places": np.tile(place, (CANDIDATES, 1)), "opacity": 1.0,
        "gain": 1.0, "offset": 0.0,
    }  # fmt: skip
    values = {name: np.asarray([value]) for name, value in (same | changes).items()}
    single = {n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in values.items()}
    return KnownDraws(**single)


def test_the_mask_lands_where_it_was_drawn():
    known = defects()
    down, across = 5, -17
    at = known.centres[0].numpy() + np.float32([down / H, across / W])
    image, mask = paste_defects(noise(), known, draws(tuple(at)))
    assert torch.equal(mask, letter().roll((down, across), (2, 3)))
    assert image.shape == (1, 3, H, W)


def by_pil(mask: np.ndarray, degrees: float, scale: float, flipped: Any, to: Any) -> np.ndarray:
    """Flip, scale and turn counter-clockwise about the mask's centre, then move that to ``to``."""
    rows, columns = np.nonzero(mask)
    centre = columns.mean() + 0.5, rows.mean() + 0.5
    there, here = (to[1] * W, to[0] * H), (-centre[0], -centre[1])
    shift = [np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]) for x, y in (there, here)]
    a = math.radians(degrees)
    turn = np.array([[math.cos(a), math.sin(a), 0], [-math.sin(a), math.cos(a), 0], [0, 0, 1]])
    size = np.diag([scale * (-1 if flipped[1] else 1), scale * (-1 if flipped[0] else 1), 1])
    back = np.linalg.inv(shift[0] @ turn @ size @ shift[1])
    picture = Image.fromarray(mask.astype(np.float32), "F")
    moved = picture.transform(
        (W, H), Image.Transform.AFFINE, back[:2].ravel().tolist(), Image.Resampling.BILINEAR
    )
    return np.asarray(moved)


@pytest.mark.parametrize(
    ("degrees", "scale", "flipped", "to"),
    [
        (0.0, 1.3, (False, False), (0.5, 0.5)),
        (30.0, 1.0, (False, False), (0.4, 0.45)),
        (-170.0, 0.8, (False, False), (0.6, 0.4)),
        (0.0, 1.0, (True, False), (0.45, 0.55)),
        (75.0, 1.2, (False, True), (0.5, 0.5)),
        (10.0, 0.75, (True, True), (0.55, 0.6)),
    ],
)
def test_turned_scaled_and_flipped_as_pil_does(
    degrees: float, scale: float, flipped: tuple[bool, bool], to: tuple[float, float]
):
    expected = by_pil(letter()[0, 0].numpy(), degrees, scale, flipped, to)
    changes = {"degrees": degrees, "scale": scale, "flipped": flipped}
    _, mask = paste_defects(noise(), defects(), draws(to, **changes))
    clear = np.abs(expected - 0.5) > 1e-3  # on the rest rounding decides
    assert clear.mean() > 0.97
    assert (mask[0, 0].numpy() > 0.5)[clear].tolist() == (expected > 0.5)[clear].tolist()


def test_shown_images_turn_about_their_middle_and_change_their_light():
    known = defects()
    changed = draws(
        turns=12.0, degrees=99.0, gain=1.1, offset=-0.05, scale=2.0
    )  # no scaling of whole images
    image, mask = show_defects(known, changed)
    whole = [
        np.asarray(
            Image.fromarray(plane.numpy(), "F").rotate(12, Image.Resampling.BILINEAR)
        )
        for plane in (*known.images[0], known.masks[0, 0])
    ]  # fmt: skip
    expected = (np.stack(whole[:3]) * np.float32(1.1) - 0.05).clip(0, 1)
    inside = (slice(None), slice(20, 44), slice(20, 76))
    np.testing.assert_allclose(image[0].numpy()[inside], expected[inside], atol=1e-4)
    clear = np.abs(whole[3] - 0.5) > 1e-3
    assert ((mask[0, 0].numpy() > 0.5) == (whole[3] > 0.5))[clear].all()


def test_nothing_outside_the_faded_edge_changes():
    clean = noise()
    image, mask = paste_defects(clean, defects(), draws())
    far = torch.nn.functional.max_pool2d(mask, 9, 1, 4) == 0
    assert torch.equal(image[far.expand_as(image)], clean[far.expand_as(clean)])
    assert (image != clean)[mask.expand_as(image) > 0].float().mean() > 0.95


def test_opacity_is_the_share_of_the_defect():
    clean, known = noise(), defects()
    whole, mask = paste_defects(clean, known, draws())
    half, _ = paste_defects(clean, known, draws(opacity=0.5))
    inside = mask.expand_as(clean) > 0
    torch.testing.assert_close(half[inside], ((clean + whole) / 2)[inside])


def test_a_defect_takes_on_a_darker_light():
    """Where the images differ by a constant, exactly that is added."""
    clean = noise()
    defective = clean + 0.2
    inside = letter().expand_as(clean) > 0
    defective[inside] -= 0.3
    image, _ = paste_defects(clean, defects(defective), draws())
    torch.testing.assert_close(image[inside], (clean - 0.3)[inside], rtol=0, atol=1e-5)


def change_by_loops(clean: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The change of colours (3, H, W), cell by cell."""
    near, wide = (ndimage.maximum_filter(mask, 2 * r + 1) for r in (2, 8))
    ring = wide - near
    sums = np.zeros((4, H // 8, W // 8))
    for row in range(H // 8):
        for column in range(W // 8):
            own = slice(row * 8, row * 8 + 8), slice(column * 8, column * 8 + 8)
            weights = ring[own]
            difference = ((clean - image)[(slice(None), *own)] * weights).mean((1, 2))
            sums[:, row, column] = [*difference, weights.mean()]
    spread = sums
    for _ in range(2):
        blurred = np.zeros_like(spread)
        for row in range(H // 8):
            for column in range(W // 8):
                rows, columns = (
                    slice(max(0, row - 4), row + 5),
                    slice(max(0, column - 4), column + 5),
                )
                blurred[:, row, column] = spread[:, rows, columns].mean((1, 2))
        spread = blurred
    spread = spread + sums.mean((1, 2))[:, None, None] * 1e-3
    cells = spread[:3] / spread[3]
    down, across = ((np.arange(n) + 0.5) / 8 - 0.5 for n in (H, W))
    places = np.meshgrid(down, across, indexing="ij")
    return np.stack([ndimage.map_coordinates(c, places, order=1, mode="nearest") for c in cells])


def test_colours_around_a_defect_are_matched_as_slow_loops_do():
    clean = noise(2) * torch.linspace(0.5, 1, W)  # the light changes across the part
    image, mask = noise(3), letter()
    found = _colour_change(clean, image, mask)[0].numpy()
    arrays = (x[0].numpy().astype(np.float64) for x in (clean, image))
    expected = change_by_loops(*arrays, mask[0, 0].numpy().astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def small_part() -> torch.Tensor:
    """A bright part in the upper left quarter of a dark image."""
    clean = torch.full((1, 3, H, W), 0.1)
    clean[..., 4:28, 4:44] = 0.8
    return clean


def test_the_first_place_on_the_part_is_taken():
    off, on = (0.85, 0.85), (0.25, 0.25)
    places = np.float32([off, off, on, (0.2, 0.3), off, off])
    dot = torch.zeros(1, 1, H, W)
    dot[..., 30:34, 46:50] = 1
    _, mask = paste_defects(small_part(), defects(mask=dot), draws(places=places))
    rows, columns = np.nonzero(mask[0, 0].numpy())
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((0.25 * H, 0.25 * W), abs=0.6)


def test_if_no_place_is_on_the_part_the_first_is_taken():
    dot = torch.zeros(1, 1, H, W)
    dot[..., 30:34, 46:50] = 1
    places = np.float32([(0.85, 0.85)] * CANDIDATES)
    _, mask = paste_defects(small_part(), defects(mask=dot), draws(places=places))
    assert np.nonzero(mask[0, 0].numpy())[0].mean() > H / 2


def test_a_mask_that_falls_between_pixels_is_still_there():
    point = torch.zeros(1, 1, H, W)
    point[0, 0, 31, 47] = 1
    known = defects(mask=point)
    between = known.centres[0].numpy() + np.float32([0.5 / H, 0.5 / W])
    for _, mask in (
        paste_defects(noise(), known, draws(tuple(between))),
        show_defects(known, draws(turns=3.7)),
    ):
        assert 1 <= mask.sum() <= 4


def test_what_is_not_seen_is_not_called_a_defect():
    """A piece that looks like the place where it lands leaves image and mask as they are."""
    clean = torch.full((1, 3, H, W), 0.5)
    image, mask = paste_defects(clean, defects(clean.clone()), draws())
    assert torch.equal(image, clean)
    assert not mask.any()
    _, mask = paste_defects(clean, defects(clean + 0.1 * letter()), draws())
    assert torch.equal(mask, letter())


def test_samples_do_not_depend_on_those_beside_them():
    clean = torch.cat([noise(4), small_part()])
    one, two = draws(degrees=20.0), draws((0.3, 0.3), scale=0.8)
    both = KnownDraws(**{n: np.concatenate([v, vars(two)[n]]) for n, v in vars(one).items()})
    twice = Defects(*(torch.cat([x, x]) for x in vars(defects()).values()))
    together = paste_defects(clean, twice, both)
    for row, own in enumerate((one, two)):
        alone = paste_defects(clean[row : row + 1], defects(), own)
        for found, expected in zip(alone, together, strict=True):
            torch.testing.assert_close(found[0], expected[row], rtol=0, atol=1e-6)


def test_colours_stay_in_their_range():
    white, black = torch.ones(1, 3, H, W), torch.zeros(1, 3, H, W)
    black[..., 0, 0] = 1
    image, _ = paste_defects(black, defects(white * letter()), draws())
    assert 0 <= image.min() <= image.max() <= 1
