"""The demo's product: images of good parts, and of defective ones with exact masks.

Everything is derived from (seed, split, index) by a counter-based generator, so that any
image can be drawn alone, in any order, with the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flawmap.demonstration.board import Board
from flawmap.demonstration.camera import Scene, Shot, photograph, to_camera
from flawmap.demonstration.defects import SURFACE_DEFECTS, changed
from flawmap.demonstration.families import Cap, Family, Flange, Gear
from flawmap.demonstration.surface import Array, Colour, Surface
from flawmap.utils.rng import from_words

Picture = NDArray[np.uint8]

# Streams of the random generator: the product's shape, then one per split.
PRODUCT, TRAIN, TEST = 0, 1, 2
DEFECTIVE = 16  # plus the index in KINDS
CLOSING = {"dent": 4, "chip": 2, "missing": 2}  # pixels; 1 for thin or uniform defects
REACH = {"missing": 16, "chip": 16}  # pixels over which a shadow fades out; 6 for the rest
KINDS = ("scratch", "stain", "dent", "crack", "missing", "contamination", "chip")

TABLES: dict[str, Colour] = {
    "a black rubber mat": (0.13, 0.135, 0.14),
    "a grey conveyor": (0.34, 0.35, 0.36),
    "a blue tray": (0.16, 0.25, 0.38),
    "a light table": (0.74, 0.75, 0.75),
    "a wooden bench": (0.50, 0.40, 0.28),
}


@dataclass(frozen=True)
class Product:
    """One product: its family with all shape parameters, table, scene and clean surface."""

    seed: int
    family: Family
    table: str
    scene: Scene
    surface: Surface

    @classmethod
    def from_seed(cls, seed: int, size: int = 256) -> Product:
        """Create the product of `seed`; neighbouring seeds give different families."""
        rng = _generator(seed, PRODUCT, 0)
        family = _sample_family(seed, rng)
        table = _pick_table(family.colour, rng)
        scene = Scene.sample(rng, family.finish, TABLES[table])
        return cls(seed, family, table, scene, _draw(family, size, None))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Defect types of this product: metal gets dents, the rest cracks."""
        other = "dent" if self.family.brittle else "crack"
        return tuple(kind for kind in KINDS if kind != other)

    def good(self, split: int, index: int) -> Picture:
        """Image number `index` of a good part, (size, size, 3)."""
        shot = Shot.sample(_generator(self.seed, split, index), self.scene)
        return _rounded(photograph(self.surface, self.scene, shot))

    def defective(self, kind: str, index: int) -> tuple[Picture, Picture, Picture]:
        """Images of a defective part and of the same part undamaged, and the mask.

        The images are (size, size, 3), the mask (size, size) in {0, 255}. It marks changes of the
        part, not of its shadow on the table: these fade out beside the mask, and `REACH` pixels
        from it the two images are equal.
        """
        rng = _generator(self.seed, DEFECTIVE + KINDS.index(kind), index)
        shot = Shot.sample(rng, self.scene)
        surface = self._damaged(kind, rng, index)
        damaged = photograph(surface, self.scene, shot)
        clean = photograph(self.surface, self.scene, shot)
        either = to_camera(np.maximum(surface.part, self.surface.part), shot)[..., None] > 0.25
        mask = changed(damaged * either, clean * either, CLOSING.get(kind, 1))
        fade = np.clip(2 - 2 * ndimage.distance_transform_edt(~mask) / REACH.get(kind, 6), 0, 1)
        picture = clean + fade[..., None].astype(np.float32) * (damaged - clean)
        return _rounded(picture), _rounded(clean), np.where(mask, 255, 0).astype(np.uint8)

    def _damaged(self, kind: str, rng: np.random.Generator, index: int) -> Surface:
        if kind == "missing":
            size = self.surface.x.shape[0] // 2
            order = _generator(self.seed, DEFECTIVE + KINDS.index(kind), 2**31)
            features = order.permutation(self.family.features)
            return _draw(self.family, size, int(features[index % len(features)]))
        surface = self.surface.copy()
        SURFACE_DEFECTS[kind](surface, rng)
        return surface


def draw_dataset(
    root: Path,
    seed: int,
    *,
    size: int = 256,
    train_good: int = 60,
    test_good: int = 20,
    defective_per_type: int = 8,
) -> None:
    """Write images of the product of `seed` under `root` in the layout of MVTec AD.

    Images are (size, size, 3) uint8 PNG; masks (size, size) uint8 {0, 255}, never empty.
    """
    product = Product.from_seed(seed, size)
    for folder, split, count in (("train", TRAIN, train_good), ("test", TEST, test_good)):
        for i in range(count):
            _save(product.good(split, i), root / folder / "good" / f"{i:03d}.png")
    for kind in product.kinds:
        for i in range(defective_per_type):
            picture, _, mask = product.defective(kind, i)
            _save(picture, root / "test" / kind / f"{i:03d}.png")
            _save(mask, root / "ground_truth" / kind / f"{i:03d}_mask.png")


def describe_product(seed: int) -> str:
    """Describe the product in one line, for the terminal and the report."""
    product = Product.from_seed(seed, 16)
    return f"{product.family.describe()}, on {product.table}"


def _sample_family(seed: int, rng: np.random.Generator) -> Family:
    families: tuple[type[Flange | Board | Gear | Cap], ...] = (Flange, Board, Gear, Cap)
    turn, place = divmod(seed, len(families))
    return families[place].sample(rng, turn)


def _pick_table(colour: Colour, rng: np.random.Generator) -> str:
    """Pick a table that the part stands out from."""
    apart = [name for name, table in TABLES.items() if abs(np.mean(table) - np.mean(colour)) > 0.12]
    return str(rng.choice(apart))


def _draw(family: Family, size: int, without: int | None) -> Surface:
    surface = Surface.blank(size)
    family.draw(surface, without)
    return surface


def _generator(seed: int, stream: int, index: int) -> np.random.Generator:
    return from_words(seed, (stream << 32) | index)


def _rounded(picture: Array) -> Picture:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _save(picture: Picture, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=3)
