"""The inspector: the artefact folder, and the object that runs it. No torch anywhere."""

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
    """What the inspector says of one image.

    ``anomaly_map`` float32 (h, w) and ``mask`` uint8 {0, 1} (h, w) have the working size where the
    image was squashed to it; in a letterbox they have the image's shape, of tiles its very size.
    Boxes, areas and lengths of ``defects`` are in pixels of the photograph. Outside the inspector's
    region the map is 0; ``raw_map`` and ``raw_score`` are what the graph said, of the whole image.

    Two inspections are equal where they say the same, whatever time they took.
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
    """From the graph's map and score to an inspection: thresholds, region and filters."""

    manifest: Manifest
    region: Region | None

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """Of a run; its graph is not read. Raises as :meth:`Inspector.load`."""
        manifest = read_manifest(folder)
        return cls(manifest, load_region(folder, manifest))

    def __call__(
        self,
        anomaly_map: NDArray[np.float32],
        score: float,
        image_size: tuple[int, int],
        start: float | None = None,
    ) -> Inspection:
        """Verdict and defects, of a photograph of ``image_size`` (height, width).

        ``start``: time.perf_counter() when work on the image began. The verdict: see
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
    """Where an inspector was loaded from, and the runtime that was asked for."""

    folder: str
    options: RuntimeOptions


class Inspector:
    """Decode -> graph -> verdict. Thread-safe; the graph is loaded once.

    Copies share the graph. A pickle holds the settings and the run folder's path: whoever reads it,
    such as a process of a pool, loads the graph from there, on the same runtime.
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
        """Inspector of the folder that ``train`` wrote, on the runtime named.

        ``runtime``: see :class:`flawmap.runtime.base.RuntimeOptions`. Raises FlawmapError where
        the folder holds no inspector, or a file is not the one its manifest names; UsageError for
        a runtime that is none.
        """
        folder = Path(run)
        manifest = read_manifest(folder)
        while True:
            try:
                return cls.open(folder, manifest, load_region(folder, manifest), **runtime)
            except FlawmapError:
                before, manifest = manifest, read_manifest(folder)
                if manifest == before:  # else a verb changed the run between its files
                    raise

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Manifest,
        region: Region | None,
        **runtime: Unpack[RuntimeOptions],
    ) -> Inspector:
        """As :meth:`load`, with a manifest and a region at hand."""
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
        return self.__copy__()  # graph, settings and region are never changed in place

    @property
    def run_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the run's graph: which run wrote a line."""
        return run_id(self.manifest)

    @property
    def precision(self) -> str:
        """In which the graph is computed, and whose thresholds judge."""
        return "float32" if self.source is None else self.source.options["precision"]

    @property
    def size(self) -> tuple[int, int]:
        """Working height and width in pixels."""
        return self.manifest.preprocessing.size

    @property
    def framing(self) -> Framing:
        """How photographs become windows of the working size."""
        return self.manifest.preprocessing.framing

    def inspect(self, image: Frame, colour: Colour | None = None) -> Inspection:
        """Inspect a file (path, bytes, file object), a PIL image or an array.

        Arrays are uint8, uint16 or floats within 0..1, of shape (H, W), (H, W, 1), (H, W, 3) or
        (H, W, 4); ``colour`` is the order of their channels, RGB or RGBA by default, and alpha is
        dropped. Raises ImageError where it cannot be read, UsageError for anything else.
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
        """The graph's map and score of each photograph laid out by :attr:`framing`, in order.

        ``at_once``: windows that go through the graph together.
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
        """Inspect a camera's frames as they come, each of a kind that :meth:`inspect` takes.

        ``colour`` is the order of their channels: OpenCV gives BGR. ``batch`` frames go through
        the graph at once, and ``ahead`` more are fetched before the oldest one's inspection is
        given: 0 for a camera that must not wait for its next frame, more where frames come faster
        than they are inspected. Raises UsageError for a frame of another kind.
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
        """As :class:`Judge`, by this inspector's settings."""
        return Judge(self.manifest, self.region)(anomaly_map, score, image_size, start)


def _reopened(
    kind: type[Inspector], source: Source, manifest: Manifest, region: Region | None
) -> Inspector:
    return kind.open(Path(source.folder), manifest, region, **source.options)


def load_region(folder: Path, manifest: Manifest) -> Region | None:
    """The run's region, where it has one; raises as :func:`read_region`."""
    if manifest.region is None:
        return None
    squashed = manifest.preprocessing.fit == "squash"
    size = manifest.preprocessing.size if squashed else None  # elsewhere maps differ in size
    mask = read_region(folder, manifest.region, size)
    return Region.of(mask, manifest.configuration)
