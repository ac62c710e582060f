"""What a refined run takes over from its parent: rates, region of interest and filters."""

from __future__ import annotations

from pathlib import Path

from flawmap.calibration.images import locate
from flawmap.calibration.recalibrate import Rates, Recalibrator, from_stored
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.decision import load_region
from flawmap.inspection.roi.mask import region_file
from flawmap.utils.files import write_bytes


def inherited(parent: Path, manifest: Manifest, folder: Path, own: Manifest) -> Manifest:
    """Return the manifest of the run in ``folder`` with rates, region and filters of its parent.

    What limits the guarantee of the parent's images is taken over, too: where they lie, which were
    left out for their scores, and how often they have set thresholds. If there is a region, the
    images that calibrate are inspected again. The graph is in the folder; ``own`` need not be.
    """
    limits = manifest.calibration
    rates = Rates(limits.reject.asked, limits.review.asked)
    same = {name: getattr(limits, name) for name in ("places", "left_out")}
    same |= {"reused": limits.reused + 1}
    calibration = own.calibration.model_copy(update=same)
    changed = own.model_copy(update={"filters": manifest.filters, "calibration": calibration})
    region = load_region(parent, manifest)
    if region is None or manifest.region is None:
        return from_stored(changed, rates)
    name = region_file(manifest.region)
    write_bytes(folder / name, (parent / name).read_bytes())
    changed = Recalibrator(folder, changed, locate(changed).good, rates, region).run()
    return changed.model_copy(update={"region": manifest.region})
