"""Camera model: light, shadow, random surface texture, background, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from flawmap.demonstration.families import Finish
from flawmap.demonstration.surface import OVERSAMPLING, Array, Colour, Surface, as_layer, smooth
from flawmap.utils.rng import from_words

HIGHLIGHT: dict[Finish, tuple[float, float]] = {  # exponent, strength
    "turned": (14.0, 0.30),
    "brushed": (14.0, 0.34),
    "moulded": (26.0, 0.55),
}
GRAIN: dict[Finish, float] = {"turned": 0.045, "brushed": 0.060, "moulded": 0.030}


@dataclass(frozen=True)
class Scene:
    """Properties shared by all images of one product: finish, table and main light."""

    finish: Finish
    table: Colour
    weave: float
    azimuth: float

    @classmethod
    def sample(cls, rng: np.random.Generator, finish: Finish, table: Colour) -> Scene:
        """Draw the light's direction and the table's weave from `rng`."""
        weave = float(rng.choice([0.0, 0.0, 0.5, 0.8]))
        return cls(finish, table, weave, float(rng.uniform(-2.6, -0.5)))


@dataclass(frozen=True)
class Shot:
    """Conditions of one image; the same shot of two surfaces differs only where they do."""

    angle: float
    shift: tuple[float, float]
    azimuth: float
    zenith: float
    gain: float
    slope: tuple[float, float]
    blur: float
    noise: float
    key: int

    @classmethod
    def sample(cls, rng: np.random.Generator, scene: Scene) -> Shot:
        """Draw an angle within 3 degrees, a shift within 3 % of half a side, light within 7 %."""
        return cls(
            angle=float(np.deg2rad(rng.uniform(-3, 3))),
            shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.03, 0.03))),
            azimuth=scene.azimuth + float(rng.uniform(-0.25, 0.25)),
            zenith=float(rng.uniform(0.62, 0.78)),
            gain=float(rng.uniform(0.93, 1.07)),
            slope=(float(rng.uniform(-0.06, 0.06)), float(rng.uniform(-0.06, 0.06))),
            blur=float(rng.uniform(0.40, 0.60)),
            noise=float(rng.uniform(0.9, 1.7)),
            key=int(rng.integers(2**62)),
        )


def photograph(s: Surface, scene: Scene, shot: Shot) -> Array:
    """Render the image, (size, size, 3) float32 in 0..255, with noise, not yet rounded."""
    rng = from_words(shot.key, 0)
    lit = _shade(s, scene, shot, _grain(s, scene.finish, rng))
    alpha = to_camera(s.part, shot)
    # Premultiplied, so that the part's edge mixes with the table's colour alone.
    front = np.stack([to_camera(lit[..., c] * s.part, shot) for c in range(3)], axis=-1)
    picture = front + (1 - alpha[..., None]) * _table(alpha, scene, shot, rng)
    return _expose(picture, shot, rng)


def _grain(s: Surface, finish: Finish, rng: np.random.Generator) -> Array:
    """Random surface texture, (S, S), zero mean, about unit deviation."""
    side = s.x.shape[0]
    fine = _enlarged(_white(rng, side // 2), side)
    if finish == "moulded":
        return as_layer(fine + 0.8 * _enlarged(_white(rng, 24), side))
    if finish == "brushed":
        return as_layer(_enlarged(_lines(rng, side // 64, side).T.copy(), side) + 0.5 * fine)
    rings = _lines(rng, 3, side)
    at = np.minimum(s.r * (side / 2), side - 1).astype(np.int32)
    turn = np.stack([np.cos(s.theta + a) for a in rng.uniform(0, 6.3, 2).astype(np.float32)])
    return as_layer(rings[0][at] + rings[1][at] * turn[0] + rings[2][at] * turn[1] + 0.5 * fine)


def _lines(rng: np.random.Generator, count: int, length: int) -> Array:
    """Noise (count, length), smoothed to the camera's resolution, about unit deviation."""
    lines = rng.standard_normal((count, length + 2), dtype=np.float32)
    return as_layer((lines[:, :-2] + 2 * lines[:, 1:-1] + lines[:, 2:]) / np.float32(2.4))


def _white(rng: np.random.Generator, side: int) -> Array:
    """Independent normal noise, (side, side)."""
    return rng.standard_normal((side, side), dtype=np.float32)


def _enlarged(a: Array, side: int) -> Array:
    """`a` resized to (side, side), bilinear."""
    resized = Image.fromarray(a).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def _shade(s: Surface, scene: Scene, shot: Shot, grain: Array) -> Array:
    """Colour of the lit part, (S, S, 3): diffuse light, highlight, contact shadow, texture."""
    turned = shot.azimuth - shot.angle  # the part rotates under the lamp
    lx, ly = np.float32(np.cos(turned)), np.float32(np.sin(turned))
    flat, up = np.float32(np.sin(shot.zenith)), np.float32(np.cos(shot.zenith))
    gy, gx = (as_layer(g) for g in np.gradient(s.height, np.float32(s.step)))
    downhill = -(gx * lx + gy * ly)
    length = as_layer(1 / np.sqrt(1 + gx * gx + gy * gy))
    diffuse = 0.42 + 0.78 * np.maximum((downhill * flat + up) * length, 0)
    matt = diffuse * (1 + np.float32(GRAIN[scene.finish]) * grain * s.grain)
    matt *= 1 - _contact_shadow(s, float(lx), float(ly))
    shine = _highlight(s, scene.finish, shot, gx, gy, length, (float(lx), float(ly)))
    shine *= 1 + 0.10 * np.clip(grain, -2, 2) * s.grain
    shine *= s.gloss
    return as_layer(s.albedo * matt[..., None] + shine[..., None])


def _contact_shadow(s: Surface, lx: float, ly: float) -> Array:
    """Shadow of higher structures on the lamp's side, (S, S) in 0..0.6."""
    side = s.x.shape[0]
    small = ndimage.gaussian_filter(_halved(s.height), side / 170)
    high = _enlarged(small, side)
    shift = (-round(ly * side / 90), -round(lx * side / 90))
    return as_layer(np.clip((np.roll(high, shift, (0, 1)) - s.height) * 9, 0, 0.6))


def _highlight(
    s: Surface,
    finish: Finish,
    shot: Shot,
    gx: Array,
    gy: Array,
    length: Array,
    light: tuple[float, float],
) -> Array:
    """Blinn highlight of a near lamp, (S, S); on turned metal also its two bright wedges."""
    power, strength = HIGHLIGHT[finish]
    tilt = float(np.sin(shot.zenith / 2)), float(np.cos(shot.zenith / 2))
    # The lamp is near: the half-way vector varies across the image.
    hx, hy = light[0] * tilt[0] - 0.22 * s.x, light[1] * tilt[0] - 0.22 * s.y
    facing = np.clip((tilt[1] - gx * hx - gy * hy) * length, 0, 1)
    shine = np.float32(strength) * facing ** np.float32(power)
    if finish == "turned":
        along = (s.x * light[0] + s.y * light[1]) / np.maximum(s.r, np.float32(0.05))
        shine += 0.26 * (along * along) ** 3 * length
    return as_layer(shine)


def to_camera(layer: Array, shot: Shot) -> Array:
    """Rotate and shift a layer, and reduce it to the image's resolution, (size, size).

    Each bilinear sample lies half-way between four of the layer's and so averages them.
    """
    side, size = layer.shape[0], layer.shape[0] // OVERSAMPLING
    c, n = OVERSAMPLING * float(np.cos(shot.angle)), OVERSAMPLING * float(np.sin(shot.angle))
    mx, my = (size / 2 * (1 + shift) for shift in shot.shift)
    matrix = (c, n, side / 2 - c * mx - n * my, -n, c, side / 2 + n * mx - c * my)
    turned = Image.fromarray(layer).transform(
        (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(turned, np.float32)


def _halved(a: Array) -> Array:
    """Mean over blocks of `OVERSAMPLING` x `OVERSAMPLING`."""
    size = a.shape[0] // OVERSAMPLING
    return as_layer(a.reshape(size, OVERSAMPLING, size, OVERSAMPLING).mean(axis=(1, 3)))


def _table(alpha: Array, scene: Scene, shot: Shot, rng: np.random.Generator) -> Array:
    """Table under the part, with the part's shadow, (size, size, 3)."""
    size = alpha.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    coarse = _enlarged(_white(rng, 10), size)
    texture = 0.025 * coarse + 0.045 * _white(rng, size)
    phase = rng.uniform(0, 6.3, 2).astype(np.float32)
    pitch = 2 * np.pi / 7.0
    weave = np.sin(pitch * columns + phase[0]) * np.sin(pitch * rows + phase[1])
    texture = texture + 0.06 * scene.weave * weave
    reach = size / 42
    shift = (-reach * np.sin(shot.azimuth), -reach * np.cos(shot.azimuth))
    shadow = ndimage.gaussian_filter(
        np.roll(alpha, (round(shift[0]), round(shift[1])), (0, 1)), size / 60
    )
    tone = (1 + texture) * (1 - 0.62 * smooth(as_layer(shadow)))
    return as_layer(np.asarray(scene.table, np.float32) * tone[..., None])


def _expose(picture: Array, shot: Shot, rng: np.random.Generator) -> Array:
    """Apply uneven light, lens blur, soft clipping towards white and sensor noise."""
    size = picture.shape[0]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + shot.slope[0] * axis[None, :] + shot.slope[1] * axis[:, None]
    light = light - 0.05 * (axis[None, :] ** 2 + axis[:, None] ** 2)
    picture = picture * np.float32(shot.gain) * light[..., None].astype(np.float32)
    picture = ndimage.gaussian_filter(picture, (shot.blur, shot.blur, 0), truncate=3.0)
    over = np.maximum(picture - np.float32(0.78), 0)
    picture = picture - over + 0.22 * np.tanh(over / 0.22)
    noise = rng.standard_normal((size, size, 1), dtype=np.float32)
    tint = rng.standard_normal((size, size, 3), dtype=np.float32)
    return as_layer(255 * picture + shot.noise * (noise + 0.4 * tint))
