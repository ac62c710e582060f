"""Room in the manifest: refused before images are inspected, and sound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle import room
from flawmap.inspection.bundle.manifest import (
    Export,
    Manifest,
    encode_manifest,
    read_manifest,
)
from flawmap.inspection.bundle.room import check_room
from flawmap.inspection.conformal import Calibration

LONGEST = -1.2345678901234567e-305


def calibrated(manifest: Manifest, count: int, exports: int) -> Manifest:
    """The manifest with so many images in its own calibration and in those of exports."""
    longest = (LONGEST,) * count
    calibration = Calibration.from_scores(longest, longest, images=("f" * 64,) * count)
    export = Export(
        precision="int8", files={}, calibration=calibration, images=1, map_max=0, map_mean=0,
        score_max=0, score_mean=0, flips=0, p_value_mean=0, within_limits=True,
    )  # fmt: skip
    named = {f"runtime{index}-int8": export for index in range(exports)}
    return manifest.model_copy(update={"calibration": calibration, "exports": named})


@pytest.mark.parametrize("exports", [0, 2])
@pytest.mark.parametrize("add", [False, True])
def test_what_is_let_through_fits(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, exports: int, add: bool
) -> None:
    """Even where every score has the longest form."""
    monkeypatch.setattr(room, "MOST_BYTES", 2**20)
    before = calibrated(read_manifest(tiny_run), 300, exports)
    with pytest.raises(FlawmapError, match=r"give at most [\d,]+\.") as caught:
        check_room(before, 10**6, add=add)
    found = re.search(r"at most ([\d,]+)", str(caught.value))
    assert found is not None
    most = int(found[1].replace(",", ""))
    check_room(before, most, add=add)
    after = calibrated(before, most + 300 * add, exports)
    assert 0.8 * 2**20 < len(encode_manifest(after)) <= 2**20
