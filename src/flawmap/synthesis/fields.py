"""Fields from spectra and waves: float32 (h, w) of any range, one function per family."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.fft

from flawmap.types import Size

Field = npt.NDArray[np.float32]
Rng = np.random.Generator
Family = Callable[[Rng, Size], Field]


def unit(field: Field) -> Field:
    """Stretch to 0..1; a constant field becomes 0."""
    low, high = float(field.min()), float(field.max())
    return np.asarray(
        (field - np.float32(low)) / np.float32(max(high - low, 1e-6)), dtype=np.float32
    )


def smoothstep(field: Field, centre: float, width: float) -> Field:
    t = np.clip((field - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def frequencies(size: Size, angle: float, stretch: float) -> Field:
    """Return |frequency| in cycles per image, (h, w // 2 + 1): the half plane of a real FFT."""
    fy = (scipy.fft.fftfreq(size[0]) * size[0]).astype(np.float32)[:, None]
    fx = (scipy.fft.rfftfreq(size[1]) * size[1]).astype(np.float32)[None, :]
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return np.asarray(
        np.hypot(fx * c + fy * s, (fy * c - fx * s) * np.float32(stretch)), dtype=np.float32
    )


def filtered_noise(rng: Rng, size: Size, gain: Field) -> Field:
    noise: Field = rng.standard_normal(size, np.float32)
    filtered: Field = scipy.fft.irfft2(scipy.fft.rfft2(noise) * gain, size)
    return filtered


def power_noise(rng: Rng, size: Size, slope: float, stretch: float = 1.0) -> Field:
    f = frequencies(size, rng.uniform(0, math.pi), stretch)
    return filtered_noise(rng, size, np.maximum(f, 1) ** np.float32(-slope))


def coordinates(rng: Rng, size: Size) -> tuple[Field, Field]:
    """Return rotated, shifted and (half the time) warped coordinates; the shorter side spans 1."""
    short, angle = min(size), rng.uniform(0, 2 * math.pi)
    y = np.arange(size[0], dtype=np.float32)[:, None] / np.float32(short) - np.float32(rng.random())
    x = np.arange(size[1], dtype=np.float32)[None, :] / np.float32(short) - np.float32(rng.random())
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    u, v = x * c + y * s, y * c - x * s
    if rng.random() < 0.5:
        bend = unit(power_noise(rng, size, rng.uniform(1.8, 3)))
        amount = np.float32(log_uniform(rng, 0.01, 0.3))
        u, v = u + bend * amount, v - bend * amount * np.float32(rng.uniform(-1, 1))
    return u, v


def wave(rng: Rng, phase: Field) -> Field:
    """Return a wave of period 1 in 0..1: sine, triangle, saw, or bars of random width and edge."""
    kind = rng.integers(4)
    turns = phase - np.floor(phase)
    if kind == 0:
        return np.asarray(
            np.float32(0.5) - np.float32(0.5) * np.cos(turns * np.float32(2 * math.pi)),
            dtype=np.float32,
        )
    if kind == 1:
        return np.abs(2 * turns - 1)
    if kind == 2:
        return turns
    return smoothstep(np.abs(2 * turns - 1), rng.uniform(0.15, 0.85), log_uniform(rng, 0.05, 0.5))


def embossed(rng: Rng, height: Field) -> Field:
    """Render the field as a relief lit from a random side."""
    dy, dx = np.gradient(height)
    angle = rng.uniform(0, 2 * math.pi)
    slope = dx * np.float32(math.cos(angle)) + dy * np.float32(math.sin(angle))
    lit = slope * np.float32(log_uniform(rng, 2, 12)) + np.float32(rng.uniform(0, 0.6)) * height
    return np.asarray(np.clip(lit * np.float32(0.5) + np.float32(0.4), 0, 1), dtype=np.float32)


# --- families


def clouds(rng: Rng, size: Size) -> Field:
    return power_noise(rng, size, rng.uniform(0.6, 2.4), log_uniform(rng, 1, 3))


def _brushed(rng: Rng, size: Size) -> Field:
    return power_noise(rng, size, rng.uniform(0.5, 1.4), log_uniform(rng, 12, 60))


def _labyrinth(rng: Rng, size: Size) -> Field:
    """Noise of one wavelength: worms, spots or a skin, depending on the threshold."""
    f = frequencies(size, rng.uniform(0, math.pi), log_uniform(rng, 1, 2.5))
    peak = log_uniform(rng, 6, max(min(size) / 5, 6))
    width = peak * rng.uniform(0.1, 0.5)
    noise = unit(filtered_noise(rng, size, np.exp(-(((f - peak) / width) ** 2))))
    return smoothstep(noise, rng.uniform(0.35, 0.65), log_uniform(rng, 0.05, 1))


def _terraces(rng: Rng, size: Size) -> Field:
    levels = np.float32(rng.integers(2, 9))
    return np.asarray(
        np.floor(unit(power_noise(rng, size, rng.uniform(1.2, 2.6))) * levels), dtype=np.float32
    )


def _ridges(rng: Rng, size: Size) -> Field:
    """Cracks and veins: where the noise crosses its middle."""
    noise = unit(power_noise(rng, size, rng.uniform(1.4, 2.4))) - np.float32(0.5)
    return np.asarray(
        np.exp(-np.abs(noise) * np.float32(log_uniform(rng, 8, 80))), dtype=np.float32
    )


def _marble(rng: Rng, size: Size) -> Field:
    u, _ = coordinates(rng, size)
    bend = unit(power_noise(rng, size, rng.uniform(1.4, 2.4)))
    return wave(rng, u * np.float32(log_uniform(rng, 1, 12)) + bend * np.float32(rng.uniform(1, 6)))


def _rings(rng: Rng, size: Size) -> Field:
    """Wood rings, ripples, turned metal."""
    u, v = coordinates(rng, size)
    radius = np.hypot(u, v * np.float32(log_uniform(rng, 0.2, 1)))
    return wave(rng, radius * np.float32(log_uniform(rng, 3, 40)))


def _stripes(rng: Rng, size: Size) -> Field:
    u, v = coordinates(rng, size)
    main = wave(rng, u * np.float32(log_uniform(rng, 3, 50)))
    share = np.float32(rng.uniform(0, 0.5))
    slant = np.asarray((u + v / 9) * np.float32(rng.uniform(1, 9)), dtype=np.float32)
    return np.asarray(main + share * wave(rng, slant), dtype=np.float32)


def _bands(rng: Rng, size: Size) -> Field:
    """Bars of unequal width and brightness."""
    u, _ = coordinates(rng, size)
    edges = np.sort(rng.uniform(float(u.min()), float(u.max()), int(rng.integers(4, 60))))
    shades = rng.random(len(edges) + 1).astype(np.float32)
    return shades[np.searchsorted(edges, u)]


def _checks(rng: Rng, size: Size) -> Field:
    u, v = coordinates(rng, size)
    scale = np.float32(log_uniform(rng, 3, 30))
    a, b = wave(rng, u * scale), wave(rng, v * scale * np.float32(log_uniform(rng, 0.5, 2)))
    ways: list[Callable[[Field, Field], Field]] = [np.multiply, np.maximum, np.add]
    return np.abs(a - b) if rng.random() < 0.4 else ways[int(rng.integers(3))](a, b)


def _weave(rng: Rng, size: Size) -> Field:
    """Threads crossing over and under: plain weave or twill, by step and period."""
    u, v = coordinates(rng, size)
    u, v = u * np.float32(scale := log_uniform(rng, 5, 30)), v * np.float32(scale)
    step, period = int(rng.integers(1, 3)), int(rng.integers(2, 5))
    over = (np.floor(u) * step + np.floor(v)) % period < period / 2
    across, along = np.sin((u - np.floor(u)) * np.pi), np.sin((v - np.floor(v)) * np.pi)
    return np.asarray(
        np.where(over, across, np.float32(rng.uniform(0.2, 0.9)) * along).astype(np.float32),
        dtype=np.float32,
    )


def _facets(rng: Rng, size: Size) -> Field:
    """Crystals: straight cuts through the image, each side of a cut with its own shade."""
    total = np.zeros(size, np.float32)
    for _ in range(int(rng.integers(5, 16))):
        u, _ = rotated_axes(rng, size)
        side = u > np.float32(rng.uniform(-0.6, 0.6))
        total += np.where(side, np.float32(rng.uniform(-1, 1)), u * np.float32(rng.uniform(-1, 1)))
    return total


def rotated_axes(rng: Rng, size: Size) -> tuple[Field, Field]:
    angle = rng.uniform(0, 2 * math.pi)
    y = np.linspace(-0.5, 0.5, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, size[1], dtype=np.float32)[None, :]
    c, s = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * c + y * s, y * c - x * s


def _gradient(rng: Rng, size: Size) -> Field:
    """A gradient under speckle, fine or coarse."""
    u, v = rotated_axes(rng, size)
    ramp = u if rng.random() < 0.5 else np.hypot(u, v)
    speckle = power_noise(rng, size, rng.uniform(0, 1))
    return np.asarray(
        unit(ramp) + np.float32(log_uniform(rng, 0.03, 1)) * unit(speckle), dtype=np.float32
    )


FAMILIES: tuple[Family, ...] = (
    clouds,
    _brushed,
    _labyrinth,
    _terraces,
    _ridges,
    _marble,
    _rings,
    _stripes,
    _bands,
    _checks,
    _weave,
    _facets,
    _gradient,
)
