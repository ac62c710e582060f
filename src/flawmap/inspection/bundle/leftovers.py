"""Clean-up of files that a killed command left in a run or its manifest no longer lists."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from flawmap.inspection.bundle.manifest import EXPORTS, Manifest
from flawmap.inspection.roi.mask import region_file
from flawmap.utils.files import sweep

UNFINISHED = ".export-"
"""Prefix of the folder in which an export makes its files."""
_UNFINISHED = re.compile(re.escape(UNFINISHED) + r"[a-z0-9_]{8}")  # the names tempfile gives them
_EXPORTED = re.compile(r"model(-[0-9a-f]{12})?(\.int8)?\.(onnx|xml|bin)")
_REGION = re.compile(r"region-[0-9a-f]{12}\.png")


def remove_leftovers(run: Path, manifest: Manifest) -> None:
    """Remove flawmap's files not listed in ``manifest``, which was just written; keep all others.

    These are files of killed commands, former exports and a former region. The caller holds the
    run's lock, so none of them is in use. Files that cannot be removed are left in place.
    """
    with contextlib.suppress(OSError):
        sweep(run)
        for path in list(run.iterdir()):
            if _UNFINISHED.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
    for path in _unnamed(run, manifest):
        with contextlib.suppress(OSError):
            path.unlink()


def _unnamed(run: Path, manifest: Manifest) -> Iterator[Path]:
    named = {run / name for export in manifest.exports.values() for name in export.files}
    if manifest.region is not None:
        named.add(run / region_file(manifest.region))
    there = [path for path in run.glob("region-*") if _REGION.fullmatch(path.name)]
    there += [p for p in run.glob(f"{EXPORTS}/*/*") if _EXPORTED.fullmatch(p.name)]
    yield from (path for path in there if path not in named)
