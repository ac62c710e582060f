"""``flawmap export``: an inspector for another runtime, or in INT8, proved near the first."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from flawmap.backends.base import Backend
from flawmap.backends.onnx_runtime import OnnxRuntime
from flawmap.backends.registry import has_bf16_here
from flawmap.conversion.comparison import Comparison, compare
from flawmap.conversion.pictures import GoodImages, good_images
from flawmap.conversion.synthetic import draw_defects, no_defects
from flawmap.errors import FlawmapError, UsageError
from flawmap.files import make_folder, write_bytes
from flawmap.inspector.graphs import BF16, file_digest, read_graph
from flawmap.inspector.inspector import load_region
from flawmap.inspector.looking import Look
from flawmap.inspector.manifest import (
    EXPORTS,
    GRAPH,
    Export,
    Manifest,
    changing,
)
from flawmap.inspector.onnx_metadata import without_metadata
from flawmap.inspector.saving import save_manifest

TARGETS = ("onnx", "openvino")
FLOAT_LIMIT = 1e-4
AP_LIMIT = 0.01
FLIP_LIMIT = 0.01  # of all verdicts
P_VALUE_LIMIT = 0.02  # by which good images' p-values may move on average
_DEFECTS = 200

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Made:
    """A graph that was written, and how it was found to be."""

    files: tuple[Path, ...]
    found: Export


def export(
    run: str | os.PathLike[str],
    to: str,
    *,
    int8: bool = False,
    images: str | os.PathLike[str] | None = None,
    force: bool = False,
    say: Say = lambda text: None,
) -> Export:
    """Write the inspector's graph for a runtime into its folder; into its manifest, how near it is.

    ``to`` is ``onnx`` or ``openvino``. ``images``: a data folder with good pictures, by default the
    one that was trained from; those held out then measure map and score. In float32 these may
    differ by 1e-4, from torch's for ``onnx``, else from the first graph's; for ``openvino`` how far
    bf16 moves them is told beside it, with thresholds for it, where the processor has that.
    ``int8`` quantises convolutions and finds thresholds anew; on drawn defects it may lose 0.01 of
    pixel AP, on these and the good pictures change 1 % of verdicts, and move the good pictures'
    p-values by 0.02 on average. Where nearly all convolutions are too many for that, fewer are
    tried. Past the limits FlawmapError is raised and nothing kept, unless ``force``, which the
    manifest records.
    """
    if to not in TARGETS:
        raise UsageError(f"No runtime {to!r}: export to {' or '.join(TARGETS)}.")
    folder = Path(run)
    with changing(folder) as manifest:
        graph = without_metadata(read_graph(folder, manifest).graph)
        good = good_images(manifest, images)
        say(f"{len(good.judge_paths)} good pictures that the inspector did not learn from")
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as place:
            if int8:
                made = _int8(Path(place), graph, folder, manifest, good, to, say)
            else:
                made = _float32(Path(place), graph, folder, manifest, good, to)
            if not (made.found.within_limits or force):
                raise FlawmapError(f"{_failing(made.found)}: nothing was kept. --force keeps it.")
            files = _keep(made.files, folder, to) or {GRAPH: manifest.files[GRAPH]}
        forced = not made.found.within_limits
        found = made.found.model_copy(update={"files": files, "forced": forced})
        exports = {**manifest.exports, f"{to}-{found.precision}": found}
        if to == "openvino" and not int8 and has_bf16_here():
            exports[BF16] = _bf16(graph, folder, manifest, good)
        save_manifest(folder, manifest.model_copy(update={"exports": exports}))
        return found


def _float32(
    place: Path, graph: bytes, folder: Path, manifest: Manifest, good: GoodImages, to: str
) -> _Made:
    files: tuple[Path, ...] = ()
    first: Backend
    other: Backend
    if to == "onnx":
        from flawmap.conversion.rebuild import TorchBackend

        first, other = TorchBackend(folder, manifest), OnnxRuntime(graph)
    else:
        files = _openvino_files(place / "model.xml")
        first, other = OnnxRuntime(graph), _write_openvino(graph, files)
    region = load_region(folder, manifest)
    defects = no_defects(good.judge)
    look = Look.of(manifest.preprocessing.framing, manifest.configuration)
    found = compare(first, other, good.photographs, defects, manifest.calibration, look, region)
    within = found.map_max <= FLOAT_LIMIT and found.score_max <= FLOAT_LIMIT
    # These thresholds only told verdicts apart: in float32 the inspector's own go on to hold.
    told = _fields(found) | {"calibration": None}
    return _Made(files, Export(precision="float32", files={}, within_limits=within, **told))


def _bf16(graph: bytes, folder: Path, manifest: Manifest, good: GoodImages) -> Export:
    """What computing in bf16 changes, to which there is no limit, and thresholds for it."""
    from flawmap.backends.openvino import OpenVino

    other = OpenVino(graph, precision="bf16")
    judge = draw_defects(good.judge, _DEFECTS, seed=1)
    look = Look.of(manifest.preprocessing.framing, manifest.configuration)
    region, like = load_region(folder, manifest), manifest.calibration
    found = compare(OnnxRuntime(graph), other, good.photographs, judge, like, look, region)
    return Export(precision="bf16", files={}, within_limits=True, **_fields(found))


def _int8(
    place: Path,
    graph: bytes,
    folder: Path,
    manifest: Manifest,
    good: GoodImages,
    to: str,
    say: Say,
) -> _Made:
    """The first scope of convolutions that keeps the limits; the last if none does."""
    import onnx

    from flawmap.conversion.int8 import quantise_onnx, quantise_openvino
    from flawmap.conversion.scope import scopes

    drawn = draw_defects(good.learn, len(good.learn), seed=0).images
    learn = np.concatenate([good.learn, drawn])
    judge = draw_defects(good.judge, _DEFECTS, seed=1)
    region = load_region(folder, manifest)
    look = Look.of(manifest.preprocessing.framing, manifest.configuration)
    first = OnnxRuntime(graph)
    other: Backend
    for scope in scopes(onnx.load_model_from_string(graph)):
        say(f"Quantising {scope.what}")
        if to == "onnx":
            files: tuple[Path, ...] = (place / "model.int8.onnx",)
            write_bytes(files[0], quantise_onnx(graph, learn, scope.float32))
            other = OnnxRuntime(files[0].read_bytes())
        else:
            files = _openvino_files(place / "model.int8.xml")
            other = _write_openvino(quantise_openvino(graph, learn, scope.float32), files)
        photographs, like = good.photographs, manifest.calibration
        told = _fields(compare(first, other, photographs, judge, like, look, region))
        found = Export(
            precision="int8", files={}, quantised=scope.what, within_limits=False, **told
        )
        if _keeps_limits(found, len(good.judge_paths)):
            return _Made(files, found.model_copy(update={"within_limits": True}))
        say(_failing(found))
    return _Made(files, found)


def _keeps_limits(found: Export, good: int) -> bool:
    before, after = found.pixel_ap or (0.0, 0.0)
    neighbours = 2.0 / good**2  # of few images, two next to each other may change places
    return (
        before - after <= AP_LIMIT
        and found.flips <= FLIP_LIMIT * found.images
        and found.p_value_mean <= max(P_VALUE_LIMIT, neighbours) + 1e-9
    )


def _fields(found: Comparison) -> dict[str, Any]:
    return {one.name: getattr(found, one.name) for one in fields(found)}


def _openvino_files(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix(".bin")


def _write_openvino(model: object, files: tuple[Path, ...]) -> Backend:
    """OpenVINO's own files of a model, or of an ONNX graph's bytes; and what runs them."""
    from flawmap.backends.openvino import OpenVino, import_openvino, shared_core

    if isinstance(model, bytes):
        model = shared_core().read_model(model)
    import_openvino().save_model(model, files[0], compress_to_fp16=False)
    return OpenVino(files[0].read_bytes(), files[1].read_bytes())


def _failing(found: Export) -> str:
    if found.precision == "float32":
        apart = max(found.map_max, found.score_max)
        return f"The exported graph differs by {apart:.2g}, more than {FLOAT_LIMIT:g}"
    before, after = found.pixel_ap or (0.0, 0.0)
    return (
        f"In INT8 it loses {before - after:.3f} of pixel AP on drawn defects (limit {AP_LIMIT:g}), "
        f"changes {found.flips} of {found.images} verdicts (limit {FLIP_LIMIT:.0%}) and moves good "
        f"pictures' p-values by {found.p_value_mean:.3f} (limit {P_VALUE_LIMIT:g})"
    )


def _keep(made: tuple[Path, ...], folder: Path, to: str) -> dict[str, str]:
    """Move what was made to its place in the run; digests by name."""
    if made:
        make_folder(folder / EXPORTS / to)
    files = {}
    for path in made:
        name = f"{EXPORTS}/{to}/{path.name}"
        shutil.move(path, folder / name)
        files[name] = file_digest(folder, name)
    return files
