"""Real images to convert an inspector with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.datasets import open_dataset
from flawmap.errors import FlawmapError
from flawmap.files import digest
from flawmap.images import read_image, resize_image
from flawmap.inspector.manifest import Manifest

_LEARN = 32
_JUDGE = 100


@dataclass(frozen=True)
class GoodImages:
    """Good images (N, h, w, 3) at the working size: to learn from, and to judge by.

    Those to judge by, which set thresholds, too, were never trained on; those to learn from were,
    or are the same where there are none.
    """

    learn: NDArray[np.uint8]
    judge: NDArray[np.uint8]


def good_images(manifest: Manifest, data: str | os.PathLike[str] | None) -> GoodImages:
    """From the training split of a data folder; None for the one that was trained from.

    So they are the images trained on and those held out then, and of test images nothing is
    learned. Raises FlawmapError where the folder is gone, or holds only images trained on.
    """
    folder = Path(manifest.training.folder if data is None else data)
    if not folder.exists():
        raise FlawmapError(
            f"Exporting needs good pictures, and {folder} is not there: give others with --images."
        )
    layout = manifest.training.layout if data is None else "auto"
    trained: list[Path] = []
    unseen: list[Path] = []
    for path in open_dataset(folder, layout).good_train:
        (trained if digest(path) in manifest.training.trained_on else unseen).append(path)
    if not unseen:
        raise FlawmapError(
            f"{folder} has no good picture that the inspector did not learn from: give others "
            "with --images."
        )
    size = manifest.preprocessing.size
    return GoodImages(_read(trained or unseen, _LEARN, size), _read(unseen, _JUDGE, size))


def _read(paths: Sequence[Path], most: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """As many of them as there may be, evenly spread."""
    count = min(most, len(paths))
    chosen = (paths[index * len(paths) // count] for index in range(count))
    return np.stack([resize_image(read_image(path), size) for path in chosen])
