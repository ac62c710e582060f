"""Known defects in a batch: shown as they are, or pasted onto good images by their masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from flawmap.synthesis.foreground import foreground
from flawmap.synthesis.known_defects.draws import KnownDraws
from flawmap.synthesis.upload import upload

_LEAST_CHANGE = 0.02  # of the range of grey, mean over the defect: less is not seen
_FEATHER = 2  # pixels over which a pasted defect fades in outside its mask
_RING = 8  # pixels around a defect whose colours are matched to those of the good image
_CELL = 8  # pixels; the change of colours is computed at this fraction of the size
_SPREAD = 9  # cells over which colours around a defect are averaged, twice


@dataclass(frozen=True)
class Defects:
    """Known defects of some samples: images (n, 3, H, W) in 0..1, masks (n, 1, H, W) {0, 1}.

    ``centres`` (n, 2): of the masks, down and across, in 0..1.
    """

    images: Tensor
    masks: Tensor
    centres: Tensor


def show_defects(defects: Defects, draws: KnownDraws) -> tuple[Tensor, Tensor]:
    """Return the defective images themselves and their masks, turned and lit differently.

    They turn about their centre, and stay where they are: (n, 3, H, W) and (n, 1, H, W).
    """
    device = defects.images.device
    middle = torch.full_like(defects.centres, 0.5)
    images, masks = _moved(
        defects,
        upload(draws.turns, device),
        torch.ones(len(middle), device=device),
        torch.ones_like(middle),
        middle,
        middle,
    )
    gain, offset = (_per_sample(upload(x, device)) for x in (draws.gain, draws.offset))
    return (images * gain + offset).clamp(0, 1), _inside(masks)


def paste_defects(clean: Tensor, defects: Defects, draws: KnownDraws) -> tuple[Tensor, Tensor]:
    """Paste each defect onto a good image (n, 3, H, W) in 0..1; return images and masks.

    A defect is turned, scaled and moved to the first drawn place on the part, takes on the colours
    that the good image has around that place, and fades in over a few pixels.
    """
    device = clean.device
    target = _on_part(foreground(clean), upload(draws.places, device))
    images, masks = _moved(
        defects,
        upload(draws.degrees, device),
        upload(draws.scale, device),
        1.0 - 2.0 * upload(draws.flipped, device).float(),
        defects.centres,
        target,
    )
    inside = _inside(masks)
    matched = (images + _colour_change(clean, images, inside)).clamp(0, 1)
    weight = _per_sample(upload(draws.opacity, device)) * _feathered(inside)
    pasted = torch.lerp(clean, matched, weight)
    seen = _is_seen(clean, pasted, inside)
    return torch.where(seen > 0, pasted, clean), inside * seen


def _is_seen(clean: Tensor, pasted: Tensor, inside: Tensor) -> Tensor:
    """Return (n, 1, 1, 1): 1 if a pasted defect changes its place, else 0.

    A missing piece that is pasted where there is nothing would teach that nothing is a defect.
    """
    change = ((pasted - clean).abs().mean(1, keepdim=True) * inside).sum((1, 2, 3))
    seen = change >= _LEAST_CHANGE * inside.sum((1, 2, 3)).clamp(min=1.0)
    return _per_sample(seen.to(clean.dtype))


def _on_part(part: Tensor, places: Tensor) -> Tensor:
    """Return the first of places (n, C, 2) that lies on the part (n, 1, H, W); (n, 2)."""
    grid = places.flip(-1)[:, :, None] * 2 - 1  # across, down, in -1..1
    hit = F.grid_sample(part.float(), grid, mode="nearest", align_corners=False)[:, 0, :, 0] > 0.5
    first = hit.to(torch.uint8).argmax(1)  # the first place if none lies on the part
    return places.gather(1, first[:, None, None].expand(-1, 1, 2))[:, 0]


def _moved(
    defects: Defects, degrees: Tensor, scale: Tensor, flip: Tensor, source: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn, scale and flip about ``source`` (n, 2) and move that point to ``target``.

    ``flip`` (n, 2): down and across, -1 where flipped, else 1. Outside the image its edge goes on;
    masks are 0 there.
    """
    height, width = defects.images.shape[-2:]
    device = defects.images.device
    radians = torch.deg2rad(degrees)[:, None, None]
    cos, sin = radians.cos(), radians.sin()
    start_y, start_x = (
        part[:, None, None] for part in (source[:, 0] * height, source[:, 1] * width)
    )
    end_y, end_x = (part[:, None, None] for part in (target[:, 0] * height, target[:, 1] * width))
    y = (torch.arange(height, device=device) + 0.5)[None, :, None] - end_y
    x = (torch.arange(width, device=device) + 0.5)[None, None, :] - end_x
    down = (cos * y + sin * x) / scale[:, None, None] * flip[:, 0, None, None]
    across = (cos * x - sin * y) / scale[:, None, None] * flip[:, 1, None, None]
    grid = torch.stack(
        [
            (across + start_x) * 2 / width - 1,
            (down + start_y) * 2 / height - 1,
        ],
        -1,
    )
    images = F.grid_sample(defects.images, grid, padding_mode="border", align_corners=False)
    return images, F.grid_sample(defects.masks, grid, align_corners=False)


def _inside(masks: Tensor) -> Tensor:
    """Return moved masks as {0, 1}; of one that fell between pixels, the highest places."""
    highest = masks.amax((1, 2, 3), keepdim=True)
    return (masks > (highest / 2).clamp(max=0.5)).to(masks.dtype)


def _feathered(inside: Tensor) -> Tensor:
    wide = F.max_pool2d(inside, 2 * _FEATHER + 1, 1, _FEATHER)
    return F.avg_pool2d(wide, 2 * _FEATHER + 1, 1, _FEATHER).maximum(inside)


def _colour_change(clean: Tensor, images: Tensor, inside: Tensor) -> Tensor:
    """Return what to add to the pasted images, so that no edge is left around the defects.

    It is the difference of both images around a defect, continued smoothly into it: nearly what
    Poisson blending adds (Perez et al., 2003), by averages instead of a solver.
    """
    near = F.max_pool2d(inside, 2 * _FEATHER + 1, 1, _FEATHER)
    wide = F.max_pool2d(inside, 2 * _RING + 1, 1, _RING)
    ring = wide - near
    cells = F.avg_pool2d(torch.cat([(clean - images) * ring, ring], 1), _CELL, ceil_mode=True)
    spread = cells
    for _ in range(2):
        spread = F.avg_pool2d(spread, _SPREAD, 1, _SPREAD // 2, count_include_pad=False)
    everywhere = cells.mean((-2, -1), keepdim=True) * 1e-3
    smooth = (spread + everywhere)[:, :3] / (spread + everywhere)[:, 3:].clamp(min=1e-8)
    return F.interpolate(smooth, size=clean.shape[-2:], mode="bilinear", align_corners=False)


def _per_sample(values: Tensor) -> Tensor:
    return values[:, None, None, None]
