"""Inspector: loads a run folder and inspects images with it, without torch."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from flawmap.data.image_io.arrays import Colour, Frame, as_source, check_colour
from flawmap.data.image_io.images import read_file, source_name
from flawmap.data.resize import Framing, PaddedImage
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.decoder import warn_if_decoder_differs
from flawmap.inspection.bundle.devices import warn_if_unmeasured
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, Manifest, read_manifest, run_id
from flawmap.inspection.bundle.models import read_model
from flawmap.inspection.decision import ImageInfo, Inspection, PostProcessor, load_region
from flawmap.inspection.record import InspectionRecord, Provenance
from flawmap.inspection.roi.mask import Region
from flawmap.inspection.tiled import RawPrediction, TiledInference
from flawmap.runtime.base import Backend, RuntimeOptions
from flawmap.runtime.registry import open_backend


@dataclass(frozen=True)
class Source:
    """Folder and runtime options from which an inspector was loaded, and its model's digest."""

    folder: str
    options: RuntimeOptions
    model: str


class Inspector:
    """Decode -> model -> verdict. Thread-safe; the model is loaded once.

    Copies share the model. A pickle holds the settings and the run folder's path: the process that
    unpickles it, such as a pool worker, loads the model from there, on the same runtime.
    """

    def __init__(
        self,
        manifest: Manifest,
        backend: Backend,
        region: Region | None = None,
        source: Source | None = None,
    ) -> None:
        self.manifest = manifest
        self.backend = backend
        self.region = region
        self.source = source
        self._post_process = PostProcessor(manifest, region)

    @classmethod
    def load(cls, run: str | os.PathLike[str], **runtime: Unpack[RuntimeOptions]) -> Inspector:
        """Load the inspector from a folder written by ``train``, on the given runtime.

        ``runtime``: see :class:`flawmap.runtime.base.RuntimeOptions`. Raises FlawmapError if the
        folder holds no inspector or a file is not the one listed in its manifest; UsageError for
        an unknown runtime.
        """
        folder = Path(run)
        manifest = read_manifest(folder)
        while True:
            try:
                return cls.open(folder, manifest, load_region(folder, manifest), **runtime)
            except FlawmapError:
                before, manifest = manifest, read_manifest(folder)
                if manifest == before:  # otherwise a command changed the run between the reads
                    raise

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Manifest,
        region: Region | None,
        **runtime: Unpack[RuntimeOptions],
    ) -> Inspector:
        """Load the inspector like :meth:`load`, with a manifest and region already read."""
        model = read_model(
            folder, manifest, runtime.get("backend", "auto"), runtime.get("precision", "float32")
        )
        options: RuntimeOptions = {
            **runtime,
            "backend": model.backend,
            "precision": runtime.get("precision", "float32"),
        }
        loaded = open_backend(model.onnx, model.weights, **options)
        if loaded.size != manifest.preprocessing.size:
            raise FlawmapError(
                f"{folder / MANIFEST} was changed: its working size is not that of {GRAPH}. "
                "Copy the whole run folder again, or train again."
            )
        device, precision = runtime.get("device", "cpu"), options["precision"]
        warn_if_unmeasured(folder, manifest, loaded.name, device, precision)
        warn_if_decoder_differs(folder, manifest)
        judging = manifest.model_copy(update={"calibration": model.calibration})
        source = Source(str(folder.absolute()), options, model.sha256)
        return cls(judging, loaded, region, source)

    def __repr__(self) -> str:
        where = "" if self.source is None else f"{self.source.folder}, "
        return f"<Inspector {where}{self.precision} on {self.backend.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.source is None:
            raise pickle.PicklingError(
                "This inspector was not loaded from a run folder: pickle the folder's path and use "
                "Inspector.load on the other side."
            )
        return _reopened, (type(self), self.source, self.manifest, self.region)

    def __copy__(self) -> Inspector:
        return type(self)(self.manifest, self.backend, self.region, self.source)

    def __deepcopy__(self, memo: dict[int, Any]) -> Inspector:
        return self.__copy__()  # model, settings and region are never modified in place

    @property
    def run_id(self) -> str:
        """First 16 hex digits of the digest of the run's model; they identify it in records."""
        return run_id(self.manifest)

    @property
    def precision(self) -> str:
        """Precision of the model, which also selects the thresholds."""
        return "float32" if self.source is None else self.source.options["precision"]

    @cached_property
    def provenance(self) -> Provenance:
        """Which model the inspector runs and how, as its records state it."""
        source, files = self.source, self.manifest.files
        return Provenance(
            run=self.run_id,
            model=files.get(GRAPH, "") if source is None else source.model,
            precision=self.precision,
            backend=self.backend.name,
            device="cpu" if source is None else source.options.get("device", "cpu"),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Working height and width in pixels."""
        return self.manifest.preprocessing.size

    @property
    def framing(self) -> Framing:
        """How images are fitted into tiles of the working size."""
        return self.manifest.preprocessing.framing

    def inspect(self, image: Frame, colour: Colour | None = None) -> Inspection:
        """Inspect a file (path, bytes, file object), a PIL image or an array.

        Arrays are uint8, uint16 or floats within 0..1, of shape (H, W), (H, W, 1), (H, W, 3) or
        (H, W, 4); ``colour`` is their channel order, RGB or RGBA by default, and alpha is dropped.
        Raises ImageError if the image cannot be read or its shape is unlike the region's,
        UsageError for anything else.
        """
        start = time.perf_counter()
        check_colour(colour)
        path = sha256 = None
        source = as_source(image)
        if source is None:
            padded = self.framing.preprocess(self.framing.decode(image, colour))
        else:
            path = None if isinstance(source, bytes) else os.fspath(source)
            data = source if isinstance(source, bytes) else read_file(source)
            sha256 = hashlib.sha256(data).hexdigest()
            padded = self.framing.read(data, name=source_name(source))
        (prediction,) = self.infer([padded])
        return self.post_process(prediction, ImageInfo(padded.image_size, path, sha256), start)

    def infer(self, images: Iterable[PaddedImage], batch: int = 1) -> Iterator[RawPrediction]:
        """Yield the model's output for each image preprocessed by :attr:`framing`, in order.

        ``batch``: number of tiles in a batch.
        """
        run = TiledInference.of(self.framing, self.manifest.configuration)
        return run(self.backend, images, batch)

    def inspect_frames(
        self,
        frames: Iterable[Frame],
        *,
        colour: Colour,
        batch: int = 1,
        ahead: int = 0,
    ) -> Iterator[Inspection]:
        """Inspect a camera's frames as they arrive, each of a type that :meth:`inspect` accepts.

        ``colour`` is their channel order: OpenCV gives BGR. ``batch`` frames go through the model
        at once, and ``ahead`` more are fetched before the oldest one's inspection is yielded: 0 if
        a result must not wait for the next frame, more if frames arrive faster than they are
        inspected. Raises UsageError for a frame of another type.
        """
        from flawmap.inspection.pipeline import inspect_frames

        return inspect_frames(self, frames, colour=colour, batch=batch, ahead=ahead)

    def post_process(
        self, prediction: RawPrediction, image: ImageInfo, start: float | None = None
    ) -> Inspection:
        """Apply :class:`PostProcessor` with this inspector's settings."""
        return self._post_process(prediction, image, self.provenance, start)

    def failed(self, path: str, sha256: str | None, error: str) -> InspectionRecord:
        """Return the record of an image that could not be inspected."""
        return self._post_process.failed(path, sha256, error, self.provenance)


def _reopened(
    kind: type[Inspector], source: Source, manifest: Manifest, region: Region | None
) -> Inspector:
    return kind.open(Path(source.folder), manifest, region, **source.options)
