"""Synthetic anomalies: good image -> (corrupted image, mask), one batch at a time.

:func:`draw_parameters` draws all random numbers on the host (they are few); the pixels are
computed on the training device without synchronisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from flawmap.synthesis.families.registry import change_by_family, take
from flawmap.synthesis.families.weights import FamilyDraws, FamilyWeights, draw_families
from flawmap.synthesis.foreground import foreground
from flawmap.synthesis.operations import OPERATIONS
from flawmap.synthesis.perlin import perlin_noise, rotate_each
from flawmap.synthesis.upload import upload

_LINE_CELLS = 8.0  # maximum lattice cells per axis for thin curves; finer ones would form a net
_LINE_CUT = 0.25


class AnomalyConfig(BaseModel):
    """Configuration of synthetic anomalies; the defaults are DeSTSeg's released behaviour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_exponent: int = Field(
        5, ge=0, le=6, description="Perlin lattices have 2^0 to 2^max_exponent cells per side"
    )
    field_degrees: float = Field(
        90.0,
        ge=0,
        description="the noise field is rotated by a random angle of up to this, either way",
    )
    threshold: float = Field(
        0.5, description="pixels whose noise exceeds this are anomalous; noise lies about in -1..1"
    )
    opacity: tuple[float, float] = Field(
        (0.2, 1.0), description="range from which the opacity of the texture is drawn"
    )
    foreground_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="fraction of samples whose anomalies are restricted to the part",
    )
    probability: float = Field(
        1.0, ge=0, le=1, description="fraction of samples with an anomaly; the others stay clean"
    )
    texture_operations: int = Field(
        0,
        ge=0,
        le=len(OPERATIONS),
        description="number of changes of colour or geometry applied to each texture, out of "
        "DRAEM's ten (DRAEM: 3)",
    )
    line_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="fraction of samples whose anomalies are thin curves (cracks, scratches, "
        "hairs) instead of blobs",
    )
    line_width: tuple[float, float] = Field(
        (1.0, 6.0), description="range of the curves' width in pixels"
    )
    families: FamilyWeights = Field(
        FamilyWeights(),
        description="relative frequency of each family of anomalies; options of noise, lines and "
        "opacity apply to the texture family",
    )

    @property
    def has_families(self) -> bool:
        """Whether any anomaly is of another family than foreign textures."""
        return any(self.families.values()[1:])

    @model_validator(mode="after")
    def _ranges(self) -> AnomalyConfig:
        for name in ("opacity", "line_width"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: give a range as two numbers above 0, the lower first")
        return self


@dataclass(frozen=True)
class AnomalyParameters:
    """Random parameters of one batch of anomalies, all on the host."""

    cells: np.ndarray  # (B, 2) float32
    angles: np.ndarray  # (B, L, L) float32
    field_degrees: np.ndarray  # (B,) float32
    opacity: np.ndarray  # (B,) float32
    texture: np.ndarray  # (B,) int64, index into the texture bank
    confined: np.ndarray  # (B,) bool, keep the anomaly on the part
    spared: np.ndarray  # (B,) bool, no anomaly at all
    operations: np.ndarray  # (B, n) int64, index into OPERATIONS, no repeats per texture
    amounts: np.ndarray  # (B, n, 3) float32 in 0..1, strength of each
    lines: np.ndarray  # (B,) bool, thin curves
    line_width: np.ndarray  # (B,) float32
    families: FamilyDraws | None = None  # None: every anomaly is of the texture family

    def rows(self, rows: np.ndarray) -> AnomalyParameters:
        """Select the parameters of samples of the texture family by index."""
        own = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "families"}
        return AnomalyParameters(**own)


def draw_parameters(
    rng: np.random.Generator, batch: int, textures: int, config: AnomalyConfig
) -> AnomalyParameters:
    """Draw the random numbers of ``batch`` anomalies from a bank of ``textures`` images."""
    lines = 2**config.max_exponent + 1
    return AnomalyParameters(
        cells=(2.0 ** rng.integers(0, config.max_exponent + 1, (batch, 2))).astype(np.float32),
        angles=rng.uniform(0, 2 * np.pi, (batch, lines, lines)).astype(np.float32),
        field_degrees=rng.uniform(-1, 1, batch).astype(np.float32) * config.field_degrees,
        opacity=rng.uniform(*config.opacity, batch).astype(np.float32),
        texture=rng.integers(0, textures, batch),
        confined=rng.random(batch) < config.foreground_share,
        spared=rng.random(batch) >= config.probability,
        operations=rng.random((batch, len(OPERATIONS))).argsort(1)[:, : config.texture_operations],
        amounts=rng.random((batch, config.texture_operations, 3), np.float32),
        **_draw_lines(rng, batch, config),
        families=draw_families(rng, batch, config.families),
    )


def _draw_lines(
    rng: np.random.Generator, batch: int, config: AnomalyConfig
) -> dict[str, np.ndarray]:
    """Draw which anomalies are lines and their width; no draw if ``line_share`` is 0."""
    if not config.line_share:
        return {"lines": np.zeros(batch, bool), "line_width": np.zeros(batch, np.float32)}
    return {
        "lines": rng.random(batch) < config.line_share,
        "line_width": rng.uniform(*config.line_width, batch).astype(np.float32),
    }


def anomaly_masks(
    parameters: AnomalyParameters,
    size: tuple[int, int],
    config: AnomalyConfig,
    device: torch.device,
) -> Tensor:
    """Return masks (B, 1, H, W) bool: the rotated Perlin field above the threshold.

    Some are empty. Where ``parameters.lines`` is set, the field consists of thin curves instead.
    """
    few = np.minimum(parameters.cells, _LINE_CELLS)
    cells = np.where(parameters.lines[:, None], few, parameters.cells)
    angles, degrees = upload(parameters.angles, device), upload(parameters.field_degrees, device)
    field = perlin_noise(size, upload(cells, device), angles)[:, None]
    if parameters.lines.any():
        drawn = _per_sample(parameters.lines, device)
        width = _per_sample(parameters.line_width, device)
        lines = thin_curves(field, width).to(field.dtype) * 2 - 1
        field = torch.where(drawn, config.threshold + lines, field)
    return rotate_each(field, degrees) > config.threshold


def thin_curves(noise: Tensor, width: Tensor) -> Tensor:
    """Return bool curves, ``width`` pixels wide, where noise (B, 1, H, W) crosses zero.

    The distance to a curve is the noise over its slope. Curves are kept only where the same noise,
    flipped both ways, exceeds ``_LINE_CUT``, so that some stand alone.
    """
    down, across = torch.gradient(noise, dim=(-2, -1))
    slope = torch.hypot(down, across)
    return (noise.abs() < width / 2 * slope) & (noise.flip(-2, -1) > _LINE_CUT)


def corrupt(
    clean: Tensor, textures: Tensor, parameters: AnomalyParameters, config: AnomalyConfig
) -> tuple[Tensor, Tensor]:
    """Make anomalies: blend textures into good images inside Perlin masks, or apply a family.

    ``clean`` (B, 3, H, W) float in 0..1; ``textures`` (B, 3, H, W) float in 0..1, one per sample.
    Returns the corrupted images and the masks (B, 1, H, W) float {0, 1}.
    """
    if parameters.families is None:
        part = foreground(clean) if parameters.confined.any() else None
        changed, mask = _lay_textures(clean, textures, part, parameters, config)
    else:
        changed, mask = clean.clone(), torch.zeros_like(clean[:, :1], dtype=torch.bool)
        draws = parameters.families.without(parameters.spared)
        for rows, images, masks in _by_family(clean, textures, parameters, draws, config):
            for row, image, drawn in zip(rows, images, masks, strict=True):
                changed[row], mask[row] = image, drawn
    if parameters.spared.any():
        mask &= _per_sample(~parameters.spared, clean.device)
    weight = mask.to(clean.dtype)
    return torch.lerp(clean, changed, weight), weight  # exact where the weight is 0 or 1


def _by_family(
    clean: Tensor,
    textures: Tensor,
    parameters: AnomalyParameters,
    draws: FamilyDraws,
    config: AnomalyConfig,
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Yield for each family its samples' indices, images and masks."""
    part = foreground(clean)
    if len(rows := np.flatnonzero(draws.family == 0)):
        good, foreign, own_part = (take(x, rows) for x in (clean, textures, part))
        own = parameters.rows(rows)
        yield rows, *_lay_textures(good, foreign, own_part, own, config)
    yield from change_by_family(clean, textures, part, parameters.confined, draws)


def _lay_textures(
    clean: Tensor,
    textures: Tensor,
    part: Tensor | None,
    parameters: AnomalyParameters,
    config: AnomalyConfig,
) -> tuple[Tensor, Tensor]:
    """Apply the texture family: images blended with textures everywhere, and bool masks."""
    mask = anomaly_masks(parameters, (clean.shape[-2], clean.shape[-1]), config, clean.device)
    if part is not None:
        mask &= part | _per_sample(~parameters.confined, clean.device)
    if config.texture_operations:
        textures = change_textures(textures, parameters)
    opacity = _per_sample(parameters.opacity, clean.device)
    return torch.lerp(clean, textures, opacity), mask


def _per_sample(values: np.ndarray, device: torch.device) -> Tensor:
    """Upload one number per sample (B,), as (B, 1, 1, 1)."""
    return upload(values, device)[:, None, None, None]


def change_textures(textures: Tensor, parameters: AnomalyParameters) -> Tensor:
    """Apply its operations to each texture (B, 3, H, W), except those of spared samples."""
    changed = list(textures)
    for i in np.flatnonzero(~parameters.spared):
        for number, amounts in zip(parameters.operations[i], parameters.amounts[i], strict=True):
            changed[i] = OPERATIONS[number](changed[i], amounts.tolist())
    return torch.stack(changed)
