"""Compare a refined run with its parent, on images that neither of them has learned from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from flawmap.data.layouts import open_dataset
from flawmap.errors import FlawmapError
from flawmap.evaluation.evaluate import measure
from flawmap.evaluation.report.outcome import Tally, judged, tally
from flawmap.evaluation.result import Evaluation
from flawmap.evaluation.used_images import evaluation_images
from flawmap.inspection.inspector import Inspector

METRICS = ("image_auroc", "pixel_ap", "pro", "iap")


@dataclass(frozen=True)
class Comparison:
    """Both runs on the same images."""

    parent: Evaluation
    refined: Evaluation

    def verdicts(self, label: str) -> tuple[Tally, Tally]:
        """Return the verdict counts of the good or the defective images, parent's first."""
        one, two = (tally(judged(each.rows, label)) for each in (self.parent, self.refined))
        return one, two


def compare_with_parent(
    parent: str | os.PathLike[str],
    refined: str | os.PathLike[str],
    data: str | os.PathLike[str],
    *,
    show: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison | None:
    """Measure both runs on the test images of ``data``; None without both good and defective ones.

    Images that either run was trained on, or learned defects from, are left out; those that
    calibrate count for the metrics, not for the verdicts. ``show``: images done and in all.
    """
    inspectors = Inspector.load(parent), Inspector.load(refined)
    try:
        dataset = open_dataset(data, training=False)
        one, two = (evaluation_images(dataset, each.manifest) for each in inspectors)
    except FlawmapError:
        return None
    both = {sample.path for sample in one.samples} & {sample.path for sample in two.samples}
    samples = tuple(sample for sample in two.samples if sample.path in both)
    if {sample.label for sample in samples} != {"good", "defective"}:
        return None
    images = replace(two, samples=samples, calibrated=one.calibrated | two.calibrated)
    total = 2 * len(samples)
    first = measure(inspectors[0], dataset, images, lambda done, _: show(done, total))
    second = measure(inspectors[1], dataset, images, lambda d, _: show(len(samples) + d, total))
    return Comparison(first, second)
