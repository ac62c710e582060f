"""Reloading of a run's settings while an inspector is in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.manifest import MANIFEST, Manifest, read_manifest
from flawmap.inspection.bundle.models import calibration_of
from flawmap.inspection.decision import load_region
from flawmap.inspection.inspector import Inspector
from flawmap.runtime.base import RuntimeOptions

_AGAIN = 1.0  # seconds until unusable settings are tried again
_PATIENCE = 3.0  # seconds for which a half-copied run is tolerated before a message

_Signature = tuple[int, int, int] | None


class LiveInspector:
    """Inspector that follows the current settings of its run.

    Unusable settings, such as half a manifest, leave the previous ones in force.
    """

    def __init__(self, run: Path, runtime: RuntimeOptions, say: Callable[[str], None]) -> None:
        self._run, self._runtime, self._say = run, runtime, say
        self._signature = _signature(run)
        self._manifest = read_manifest(run)
        self._failing_since: float | None = None
        self._reported = False
        self._not_before = 0.0
        self.now = Inspector.open(run, self._manifest, load_region(run, self._manifest), **runtime)
        self.now.backend.warm_up()

    def refresh(self) -> None:
        """Apply changed settings and report them in a line."""
        signature = _signature(self._run)
        if signature == self._signature and self._failing_since is None:
            return
        if time.monotonic() < self._not_before:
            return
        try:
            self._take_over()
        except FlawmapError as error:
            self._fail(error)
        else:
            self._failing_since, self._reported = None, False
        self._signature = signature

    def _take_over(self) -> None:
        manifest = read_manifest(self._run)
        what = _differences(self._manifest, manifest)
        if what:
            self.now = self._opened(manifest)
            self._say(
                f"{self._run} was changed ({', '.join(what)}): the new settings apply from now on."
            )
        elif self._reported:
            self._say(f"{self._run} can be read again, and its settings are unchanged.")
        self._manifest = manifest

    def _opened(self, manifest: Manifest) -> Inspector:
        region = load_region(self._run, manifest)
        before, precision, backend = self._manifest, self.now.precision, self.now.backend.name
        calibration = calibration_of(manifest, precision, backend)
        if _models(manifest) != _models(before) or calibration is None:
            inspector = Inspector.open(self._run, manifest, region, **self._runtime)
            inspector.backend.warm_up()
            return inspector
        changed = manifest.model_copy(update={"calibration": calibration})
        return Inspector(changed, self.now.backend, region, self.now.source)

    def _fail(self, error: FlawmapError) -> None:
        now = time.monotonic()
        self._not_before = now + _AGAIN
        self._failing_since = self._failing_since or now
        if not self._reported and now - self._failing_since >= _PATIENCE:
            self._reported = True
            self._say(
                f"The changed settings cannot be used: {error} The previous settings stay in force."
            )


def _differences(before: Manifest, after: Manifest) -> list[str]:
    """List which settings that affect verdicts have changed."""
    changed = {
        "thresholds": _calibrations(before) != _calibrations(after),
        "region": before.region != after.region,
        "filters": before.filters != after.filters,
        "model": _models(before) != _models(after),
    }
    return [name for name, differs in changed.items() if differs]


def _calibrations(manifest: Manifest) -> object:
    return manifest.calibration, {n: e.calibration for n, e in manifest.exports.items()}


def _models(manifest: Manifest) -> object:
    exports = {name: export.files for name, export in manifest.exports.items()}
    return manifest.files, exports, manifest.preprocessing, manifest.configuration


def _signature(run: Path) -> _Signature:
    try:
        status = (run / MANIFEST).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
