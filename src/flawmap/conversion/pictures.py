"""Real images to convert an inspector with."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawmap.datasets import open_dataset
from flawmap.errors import FlawmapError
from flawmap.framing import Framing
from flawmap.inspector.calibration_images import digest_or_none
from flawmap.inspector.manifest import Manifest

_LOG = logging.getLogger("flawmap")
_LEARN = 32
_JUDGE = 100
_STRIDE = 5  # windows from one image's to the next one's


@dataclass(frozen=True)
class GoodImages:
    """Windows (N, h, w, 3) of good images: to learn from, and to judge by.

    Those to judge by were never trained on; those to learn from were, or are the same where there
    are none. ``judge_paths``: the whole images to judge by, which set thresholds, too.
    """

    learn: NDArray[np.uint8]
    judge: NDArray[np.uint8]
    judge_paths: tuple[Path, ...]
    framing: Framing

    @property
    def photographs(self) -> Iterator[NDArray[np.uint8]]:
        """The images to judge by (H, W, 3), read one by one."""
        return (self.framing.decode(path) for path in self.judge_paths)


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
    dataset = open_dataset(folder, layout)
    for line in dataset.left_out:
        _LOG.warning("%s", line)
    for path in dataset.good_train:
        (trained if digest_or_none(path) in manifest.training.trained_on else unseen).append(path)
    if not unseen:
        raise FlawmapError(
            f"{folder} has no good picture that the inspector did not learn from: give others "
            "with --images."
        )
    framing = manifest.preprocessing.framing
    learn, judge = _spread(trained or unseen, _LEARN), _spread(unseen, _JUDGE)
    return GoodImages(_windows(learn, framing), _windows(judge, framing), judge, framing)


def _spread(paths: Sequence[Path], most: int) -> tuple[Path, ...]:
    """As many of them as there may be, evenly."""
    count = min(most, len(paths))
    return tuple(paths[index * len(paths) // count] for index in range(count))


def _windows(paths: Sequence[Path], framing: Framing) -> NDArray[np.uint8]:
    """One window (h, w, 3) of each image; where there are several, from changing places."""
    found = []
    for index, path in enumerate(paths):
        canvas = framing.lay(framing.decode(path))
        found.append(canvas.window(index * _STRIDE % canvas.layout.count).copy())
    return np.stack(found)
