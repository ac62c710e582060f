"""New thresholds for an inspector and its exports, from stored scores or from good images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flawmap.data.samples import plural
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.decoder import decoder_here
from flawmap.inspection.bundle.manifest import Manifest
from flawmap.inspection.bundle.models import BF16, backend_of
from flawmap.inspection.bundle.room import check_room
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.decision import Inspection
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.pipeline import inspect_files
from flawmap.inspection.roi.mask import Region
from flawmap.runtime.registry import has_bf16_here

Show = Callable[[int, int], None]


@dataclass(frozen=True)
class Rates:
    """Shares of good parts that may be rejected, and rejected or sent to review."""

    false_reject: float
    review: float


@dataclass(frozen=True)
class Scored:
    """Score of a good image and the highest value of its map."""

    path: Path
    score: float
    max_map_value: float


def from_stored(manifest: Manifest, rates: Rates) -> Manifest:
    """Return the manifest with thresholds for other rates; nothing is inspected."""
    exports = {
        name: export.model_copy(update={"calibration": _with_rates(export.calibration, rates)})
        if export.calibration is not None
        else export
        for name, export in manifest.exports.items()
    }
    calibration = _with_rates(manifest.calibration, rates)
    return manifest.model_copy(update={"calibration": calibration, "exports": exports})


def _with_rates(stored: Calibration, rates: Rates) -> Calibration:
    return Calibration.from_scores(
        stored.scores,
        stored.peaks,
        false_reject=rates.false_reject,
        review=rates.review,
        images=stored.images,
        folds=stored.folds,
        places=stored.places,
        left_out=stored.left_out,
        reused=stored.reused,
    )


@dataclass
class Recalibrator:
    """Recalibration of a run and its exports from good images, ``good`` with their SHA-256.

    ``region``: the region of interest. ``add``: keep the current calibration images; an image that
    already calibrates a model is not added to it again. ``places``: where the images are located;
    by default the manifest's places. Afterwards ``scored`` holds the inspector's own results for
    them, and ``warnings`` why any are missing.
    """

    folder: Path
    manifest: Manifest
    good: Mapping[Path, str]
    rates: Rates
    region: Region | None = None
    add: bool = False
    places: Sequence[str] | None = None
    show: Show = lambda done, total: None
    scored: list[Scored] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def run(self) -> Manifest:
        """Return the manifest with new thresholds.

        Raises FlawmapError if no image can be inspected or, before any is, if the manifest cannot
        hold them all.
        """
        check_room(self.manifest, len(self.good), add=self.add)
        if not self.add:  # else some scores come from the decoder used before
            self.manifest = self.manifest.model_copy(update={"decoder": decoder_here()})
        exports = {}
        for name, export in self.manifest.exports.items():
            if name == BF16 and not has_bf16_here():
                continue
            if export.calibration is not None:
                own, _ = self._calibration(backend_of(name), export.precision)
                export = export.model_copy(update={"calibration": own})
            exports[name] = export
        self.warnings.clear()  # the inspector's own run repeats them
        calibration, self.scored = self._calibration("auto", "float32")
        if BF16 in self.manifest.exports.keys() - exports:
            self.warnings.append(
                "The thresholds for bf16 were removed, as this processor cannot compute in bf16: "
                "export again on one that can."
            )
        return self.manifest.model_copy(update={"calibration": calibration, "exports": exports})

    def _calibration(self, backend: str, precision: str) -> tuple[Calibration, list[Scored]]:
        inspector = Inspector.open(
            self.folder, self.manifest, self.region, backend=backend, precision=precision
        )
        stored = inspector.manifest.calibration
        if not self.add:
            before: Calibration | None = None
            fresh = dict(self.good)
        else:
            before = stored
            fresh = {path: one for path, one in self.good.items() if one not in stored.images}
        scored = self._score(inspector, fresh)
        images = [*(before.images if before else ()), *(fresh[one.path] for one in scored)]
        places = self.manifest.calibration.places if self.places is None else self.places
        known = {*stored.images, *stored.left_out}
        calibration = Calibration.from_scores(
            [*(before.scores if before else ()), *(one.score for one in scored)],
            [*(before.peaks if before else ()), *(one.max_map_value for one in scored)],
            false_reject=self.rates.false_reject,
            review=self.rates.review,
            images=images,
            places=tuple(dict.fromkeys([*(before.places if before else ()), *places])),
            # kept when the same images are inspected again, dropped for other images
            left_out=stored.left_out if self.add or self.places is None else (),
            reused=0 if known.isdisjoint(images) else stored.reused,
        )
        return calibration, scored

    def _score(self, inspector: Inspector, paths: Collection[Path]) -> list[Scored]:
        scored, failed = [], list[str]()
        results = zip(paths, inspect_files(inspector, paths), strict=True)
        for done, (path, result) in enumerate(results, 1):
            self.show(done, len(paths))
            if isinstance(result, Inspection):
                scored.append(Scored(path, result.score, float(result.anomaly_map.max())))
            else:
                failed.append(str(result.error))
        if paths and not scored:
            raise FlawmapError(f"No good image could be inspected. {failed[0]}")
        if failed:
            self.warnings.append(
                f"{plural(len(failed), 'image(s)')} left out, not inspected: "
                f"{'; '.join(failed[:3])}"
            )
        return scored
