"""Inspector: loads a run folder and inspects images with it, without torch."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from flawmap.data.image_io.arrays import Colour, Frame, as_source, check_colour
from flawmap.data.resize import Canvas, Framing
from flawmap.errors import FlawmapError
from flawmap.inspection.bundle.devices import tell_if_unmeasured
from flawmap.inspection.bundle.graphs import read_graph
from flawmap.inspection.bundle.manifest import GRAPH, MANIFEST, Manifest, read_manifest, run_id
from flawmap.inspection.decision import decide
from flawmap.inspection.defects import Defect, find_defects
from flawmap.inspection.roi.mask import Region, read_region
from flawmap.inspection.tiled import Look, Seen
from flawmap.runtime.base import Backend, RuntimeOptions
from flawmap.runtime.registry import open_backend
from flawmap.types import Verdict


@dataclass(frozen=True, eq=False)
class Inspection:
    """Result of inspecting one image.

    ``anomaly_map`` float32 (h, w) and ``mask`` uint8 {0, 1} (h, w) have the working size if the
    image was squashed to it, the image's aspect ratio for a letterbox, and the image's own size for
    tiles. Boxes, areas and lengths of ``defects`` are in image pixels. Outside the inspector's
    region the map is 0; ``raw_map`` and ``raw_score`` are the model's output for the whole image.

    Inspections are equal if their results are, regardless of ``milliseconds``.
    """

    score: float
    p_value: float
    verdict: Verdict
    anomaly_map: NDArray[np.float32] = field(repr=False)
    mask: NDArray[np.uint8] = field(repr=False)
    defects: tuple[Defect, ...]
    milliseconds: float
    raw_map: NDArray[np.float32] = field(repr=False)
    raw_score: float = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Inspection):
            return NotImplemented
        return self._figures == other._figures and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("anomaly_map", "mask", "raw_map")
        )

    def __hash__(self) -> int:
        return hash(self._figures)

    @property
    def _figures(self) -> tuple[object, ...]:
        return self.score, self.p_value, self.verdict, self.defects, self.raw_score


@dataclass(frozen=True, eq=False)
class Judge:
    """Thresholds, region and filters that turn the model's map and score into an inspection."""

    manifest: Manifest
    region: Region | None

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """Load the judge of a run without its model. Raises as :meth:`Inspector.load`."""
        manifest = read_manifest(folder)
        return cls(manifest, load_region(folder, manifest))

    def __call__(
        self,
        anomaly_map: NDArray[np.float32],
        score: float,
        image_size: tuple[int, int],
        start: float | None = None,
    ) -> Inspection:
        """Return the inspection of an image of ``image_size`` (height, width) from its map (h, w).

        ``start``: time.perf_counter() when work on the image began. For the verdict see
        :func:`flawmap.inspection.decision.decide`.
        """
        begun = time.perf_counter() if start is None else start
        raw_map, raw_score = anomaly_map, score
        if self.region is not None:
            anomaly_map, score = self.region.read_out(anomaly_map)
        calibration, filters = self.manifest.calibration, self.manifest.filters
        mask, defects, _ = find_defects(anomaly_map, calibration.pixel.value, image_size, filters)
        return Inspection(
            score=score,
            p_value=calibration.p_value(score),
            verdict=decide(calibration, filters, score, len(defects)),
            anomaly_map=anomaly_map,
            mask=mask,
            defects=tuple(defects),
            milliseconds=1000.0 * (time.perf_counter() - begun),
            raw_map=raw_map,
            raw_score=raw_score,
        )


@dataclass(frozen=True)
class Source:
    """Folder and runtime options from which an inspector was loaded."""

    folder: str
    options: RuntimeOptions


class Inspector:
    """Decode -> model -> verdict. Thread-safe; the model is loaded once.

    Copies share the model. A pickle holds the settings and the run folder's path: the process that
    unpickles it, such as a pool worker, loads the model from there, on the same runtime.
    """

    def __init__(
        self,
        manifest: Manifest,
        graph: Backend,
        region: Region | None = None,
        source: Source | None = None,
    ) -> None:
        self.manifest = manifest
        self.graph = graph
        self.region = region
        self.source = source

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
        """As :meth:`load`, for a manifest and region already read."""
        found = read_graph(
            folder, manifest, runtime.get("backend", "auto"), runtime.get("precision", "float32")
        )
        options: RuntimeOptions = {
            **runtime,
            "backend": found.backend,
            "precision": runtime.get("precision", "float32"),
        }
        loaded = open_backend(found.graph, found.weights, **options)
        if loaded.size != manifest.preprocessing.size:
            raise FlawmapError(
                f"{folder / MANIFEST} was changed: its working size is not that of {GRAPH}. "
                "Copy the whole run folder again, or train anew."
            )
        device, precision = runtime.get("device", "cpu"), options["precision"]
        tell_if_unmeasured(folder, manifest, loaded.name, device, precision)
        judging = manifest.model_copy(update={"calibration": found.calibration})
        source = Source(str(folder.absolute()), options)
        return cls(judging, loaded, region, source)

    def __repr__(self) -> str:
        where = "" if self.source is None else f"{self.source.folder}, "
        return f"<Inspector {where}{self.precision} on {self.graph.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.source is None:
            raise pickle.PicklingError(
                "This inspector was not loaded from a run folder: pickle the folder's path and use "
                "Inspector.load on the other side."
            )
        return _reopened, (type(self), self.source, self.manifest, self.region)

    def __copy__(self) -> Inspector:
        return type(self)(self.manifest, self.graph, self.region, self.source)

    def __deepcopy__(self, memo: dict[int, Any]) -> Inspector:
        return self.__copy__()  # model, settings and region are never modified in place

    @property
    def run_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the run's model; they identify it in lines."""
        return run_id(self.manifest)

    @property
    def precision(self) -> str:
        """Precision of the model, which also selects the thresholds."""
        return "float32" if self.source is None else self.source.options["precision"]

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
        Raises ImageError if the image cannot be read, UsageError for anything else.
        """
        start = time.perf_counter()
        check_colour(colour)
        source = as_source(image)
        if source is not None:
            canvas = self.framing.read(source)
        else:
            canvas = self.framing.lay(self.framing.decode(image, colour))
        ((anomaly_map, score),) = self.see([canvas])
        return self.judge(anomaly_map, score, canvas.photograph, start)

    def see(self, canvases: Iterable[Canvas], at_once: int = 1) -> Iterator[Seen]:
        """Yield the model's map and score of each image laid out by :attr:`framing`, in order.

        ``at_once``: number of tiles in a batch.
        """
        return Look.of(self.framing, self.manifest.configuration)(self.graph, canvases, at_once)

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

    def judge(
        self,
        anomaly_map: NDArray[np.float32],
        score: float,
        image_size: tuple[int, int],
        start: float | None = None,
    ) -> Inspection:
        """As :class:`Judge`, with this inspector's settings."""
        return Judge(self.manifest, self.region)(anomaly_map, score, image_size, start)


def _reopened(
    kind: type[Inspector], source: Source, manifest: Manifest, region: Region | None
) -> Inspector:
    return kind.open(Path(source.folder), manifest, region, **source.options)


def load_region(folder: Path, manifest: Manifest) -> Region | None:
    """Load the run's region, or None if it has none; raises as :func:`read_region`."""
    if manifest.region is None:
        return None
    squashed = manifest.preprocessing.fit == "squash"
    size = manifest.preprocessing.size if squashed else None  # otherwise map sizes vary
    mask = read_region(folder, manifest.region, size)
    return Region.of(mask, manifest.configuration)
