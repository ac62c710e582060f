"""``flawmap export``: convert an inspector to another runtime or INT8 and verify its outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawmap.data.listing.images import Paths, as_paths
from flawmap.data.samples import plural
from flawmap.errors import FlawmapError, UsageError
from flawmap.exporting.images import GoodImages, good_images
from flawmap.exporting.limits import (
    FLOAT_LIMIT,
    describe_changes,
    float_within_limits,
    int8_within_limits,
)
from flawmap.exporting.parity import Comparison, compare
from flawmap.exporting.placing import keep, workplace
from flawmap.exporting.synthetic import Corrupted, draw_anomalies, no_anomalies
from flawmap.inspection.bundle.devices import place as place_of
from flawmap.inspection.bundle.manifest import (
    GRAPH,
    Export,
    Manifest,
    Parity,
    changing,
)
from flawmap.inspection.bundle.models import BF16, backend_of, read_model
from flawmap.inspection.bundle.onnx_metadata import without_metadata
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.decision import load_region
from flawmap.inspection.tiled import TiledInference
from flawmap.runtime.base import Backend
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.runtime.registry import has_bf16_here, open_backend
from flawmap.utils.files import write_bytes

TARGETS = ("onnx", "openvino")
_ANOMALIES = 200

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Result:
    """The files written, and the record of their comparison."""

    files: tuple[Path, ...]
    record: Export


def export(
    run: str | os.PathLike[str],
    to: str,
    *,
    int8: bool = False,
    images: Paths = (),
    force: bool = False,
    device: str = "cpu",
    say: Say = lambda text: None,
) -> Export:
    """Export the inspector's model for a runtime and record the measured differences.

    ``to`` is ``onnx`` or ``openvino``. In float32, map and score may differ by 1e-4 on good images
    (from torch for ``onnx``, else from the original ONNX graph), and the run's thresholds still
    hold. ``int8`` quantises convolutions, with ranges from training images. Its thresholds are set
    for the same rates on all images that calibrate the run; so are thresholds for bf16, which are
    added for ``openvino`` in float32 if the processor supports bf16. These images are
    identified by SHA-256: in ``images``, where ``calibrate`` took them from, and in the training
    folder. For a run calibrated by folds, those of ``images`` that it was not trained on are used.

    On another ``device``, such as ``cuda`` for ``onnx`` or ``GPU`` for ``openvino``, the float32
    model is compared with torch on the CPU; no file is written, and the manifest records the
    difference.

    INT8 may lose 0.01 of pixel AP on synthetic anomalies; on these and the calibrating images it
    may change 1 % of the verdicts (the run's thresholds against the export's); and it may move the
    calibrating images' p-values by 0.02 on average. If quantising nearly all convolutions exceeds
    a limit, smaller sets are tried. If none passes, FlawmapError is raised and nothing is kept,
    unless ``force``, which the manifest records. Raises FlawmapError if calibrating images are
    missing.
    """
    if to not in TARGETS:
        raise UsageError(f"Unknown runtime {to!r}: export to {' or '.join(TARGETS)}.")
    if int8 and device.lower() != "cpu":
        raise UsageError("INT8 is compared on the CPU only: leave out --device.")
    folder = Path(run)
    with changing(folder) as manifest:
        graph = without_metadata(read_model(folder, manifest).onnx)
        good = good_images(folder, manifest, as_paths(images))
        with workplace(folder) as place:
            job = _Job(place, graph, folder, manifest, good, to, say, device)
            result = job.int8() if int8 else job.float32()
            if not (result.record.within_limits or force):
                changes = describe_changes(result.record)
                raise FlawmapError(f"{changes}: nothing was kept. To keep it, give --force.")
            files = keep(result.files, folder, manifest, to) or {GRAPH: manifest.files[GRAPH]}
        forced = not result.record.within_limits
        record = result.record.model_copy(update={"files": files, "forced": forced})
        if job.elsewhere:
            save_manifest(folder, _with_parity(manifest, job, record))
            return record
        exports = {**manifest.exports, f"{to}-{record.precision}": record}
        if to == "openvino" and not int8 and has_bf16_here():
            if good.calibrating is None:
                say(f"No thresholds are set for bf16. {good.why_not}")
            else:
                exports[BF16] = job.bf16()
        changed = manifest.model_copy(update={"exports": exports})
        save_manifest(folder, changed)
        return record


@dataclass(frozen=True)
class _Job:
    """One export: the model to convert, the images to use and the folder for its files."""

    place: Path
    graph: bytes
    folder: Path
    manifest: Manifest
    good: GoodImages
    to: str
    say: Say
    device: str

    @property
    def runtime(self) -> str:
        """Name of the backend that runs the export."""
        return backend_of(f"{self.to}-float32")

    @property
    def elsewhere(self) -> bool:
        """Whether the comparison runs on a device other than the CPU."""
        return self.device.lower() != "cpu"

    def float32(self) -> _Result:
        """Export the unquantised model and compare it on a sample of good images."""
        files: tuple[Path, ...] = ()
        reference: Backend
        other: Backend
        if self.elsewhere or self.to == "onnx":
            from flawmap.exporting.rebuild import TorchBackend

            other = open_backend(self.graph, backend=self.runtime, device=self.device)
            reference = TorchBackend(self.folder, self.manifest)
        else:
            files = _openvino_files(self.place / "model.xml")
            reference, other = OnnxRuntime(self.graph), _write_openvino(self.graph, files)
        good = self.good
        defects = no_anomalies(good.sample_tiles)
        self.say(f"Comparing on {plural(len(good.sample), 'good image(s)')}")
        comparison = self._compare(reference, other, defects, good.sample)
        within = float_within_limits(comparison.map_max, comparison.score_max)
        # These thresholds only served to count flips: in float32 the inspector's own still hold.
        measured = _fields(comparison) | {"calibration": None}
        record = Export(precision="float32", files={}, within_limits=within, **measured)
        return _Result(files, record)

    def bf16(self) -> Export:
        """Measure what bf16 changes, without a limit, and set thresholds for it."""
        from flawmap.runtime.openvino import OpenVino

        self._say_calibrating("bf16")
        other = OpenVino(self.graph, precision="bf16")
        comparison = self._calibrated(OnnxRuntime(self.graph), other, self._anomalies())
        return Export(precision="bf16", files={}, within_limits=True, **_fields(comparison))

    def int8(self) -> _Result:
        """Export the first scope of convolutions within the limits; the last if none is."""
        import onnx

        from flawmap.exporting.quantization_scope import scopes
        from flawmap.exporting.quantize import quantise_onnx, quantise_openvino

        range_images, anomalies = self._range_images(), self._anomalies()
        self._say_calibrating("INT8")
        reference = OnnxRuntime(self.graph)
        other: Backend
        for scope in scopes(onnx.load_model_from_string(self.graph)):
            self.say(f"Quantising {scope.what}")
            if self.to == "onnx":
                files: tuple[Path, ...] = (self.place / "model.int8.onnx",)
                write_bytes(files[0], quantise_onnx(self.graph, range_images, scope.float32))
                other = OnnxRuntime(files[0].read_bytes())
            else:
                files = _openvino_files(self.place / "model.int8.xml")
                model = quantise_openvino(self.graph, range_images, scope.float32)
                other = _write_openvino(model, files)
            record = Export(
                precision="int8",
                files={},
                quantised=scope.what,
                within_limits=False,
                **_fields(self._calibrated(reference, other, anomalies)),
            )
            if int8_within_limits(record):
                return _Result(files, record.model_copy(update={"within_limits": True}))
            self.say(describe_changes(record))
        return _Result(files, record)

    def _range_images(self) -> NDArray[np.uint8]:
        """Return the training images (N, h, w, 3) that set the ranges, half of them corrupted."""
        if self.good.calibrating is None:
            raise FlawmapError(self.good.why_not)
        training_images = self.good.range_images()
        if training_images is None:
            raise FlawmapError(
                f"INT8 takes its ranges from images that the inspector was trained on, and "
                f"{self.manifest.training.folder} has none of them: give their folder with "
                "--images, in addition to other folders."
            )
        corrupted = draw_anomalies(training_images, len(training_images), seed=0)
        return np.concatenate([training_images, corrupted.images])

    def _anomalies(self) -> Corrupted:
        return draw_anomalies(self.good.sample_tiles, _ANOMALIES, seed=1)

    def _say_calibrating(self, what: str) -> None:
        assert self.good.calibrating is not None
        count = plural(len(self.good.calibrating.sha256), "good image(s)")
        which = "that calibrate the run set" if self.good.calibrating.stored else "given set"
        self.say(f"{count} {which} the thresholds for {what}")

    def _calibrated(self, first: Backend, other: Backend, defects: Corrupted) -> Comparison:
        """Run a comparison that sets thresholds, and record the folders of the images."""
        images = self.good.calibrating
        assert images is not None
        comparison = self._compare(
            first,
            other,
            defects,
            tuple(images.sha256),
            images=tuple(images.sha256.values()),
            stored=images.stored,
        )
        calibration = comparison.calibration.model_copy(update={"places": images.places})
        return replace(comparison, calibration=calibration)

    def _compare(
        self,
        first: Backend,
        other: Backend,
        defects: Corrupted,
        paths: Sequence[Path],
        **known: Any,
    ) -> Comparison:
        manifest = self.manifest
        inference = TiledInference.of(manifest.preprocessing.framing, manifest.configuration)
        region = load_region(self.folder, manifest)
        padded = self.good.padded(paths)
        return compare(
            first, other, padded, defects, manifest.calibration, inference, region, **known
        )


def _with_parity(manifest: Manifest, job: _Job, record: Export) -> Manifest:
    parity = Parity(
        runtime=job.runtime, device=job.device, images=record.images, map=record.map_max,
        score=record.score_max, limit=FLOAT_LIMIT,
    )  # fmt: skip
    devices = {**manifest.devices, place_of(job.runtime, job.device): parity}
    return manifest.model_copy(update={"devices": devices})


def _fields(comparison: Comparison) -> dict[str, Any]:
    return {field.name: getattr(comparison, field.name) for field in fields(comparison)}


def _openvino_files(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix(".bin")


def _write_openvino(model: object, files: tuple[Path, ...]) -> Backend:
    """Save an OpenVINO model, or an ONNX graph's bytes, as OpenVINO files; return a backend."""
    from flawmap.runtime.openvino import OpenVino, import_openvino, shared_core

    if isinstance(model, bytes):
        model = shared_core().read_model(model)
    import_openvino().save_model(model, files[0], compress_to_fp16=False)
    return OpenVino(files[0].read_bytes(), files[1].read_bytes())
