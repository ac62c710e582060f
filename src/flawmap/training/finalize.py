"""Finish training: export the ONNX graph, check parity, calibrate, write the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_safetensors

from flawmap.calibration.leaving_out import apart, without
from flawmap.errors import FlawmapError
from flawmap.exporting.onnx_graph import InferenceGraph, export_onnx
from flawmap.inspection.bundle.decoder import decoder_here
from flawmap.inspection.bundle.manifest import (
    GRAPH,
    WEIGHTS,
    LearnedDefects,
    Manifest,
    Parity,
    Preprocessing,
    Refinement,
    Teacher,
    Training,
)
from flawmap.inspection.bundle.models import file_digest
from flawmap.inspection.bundle.saving import save_manifest
from flawmap.inspection.conformal import Calibration
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.tiled import TiledInference
from flawmap.methods.base import Method
from flawmap.runtime.base import Backend
from flawmap.runtime.onnxruntime import OnnxRuntime
from flawmap.training.choices.outliers import (
    describe_highest_scores,
    describe_left_out,
    warn_of_outliers,
    warn_of_training_outliers,
)
from flawmap.training.good_images.load import GoodImages
from flawmap.training.good_images.split import Part
from flawmap.training.prepare import Prepared, Request, Setup
from flawmap.types import Size
from flawmap.utils.files import write_bytes
from flawmap.utils.hardware import versions

PARITY_LIMIT = 1e-4
Adjust = Callable[[Path, Manifest], Manifest]
_PARITY_SAMPLE = 8  # tiles of good images for parity


def finalize(
    request: Request,
    setup: Setup,
    prepared: Prepared,
    folder: Path,
    part: Part,
    calibration: Calibration | None,
    seconds: Mapping[str, float],
    history: tuple[Refinement, ...] = (),
    adjust: Adjust | None = None,
) -> Inspector:
    """Write the inspector of a fitted method; see :func:`finish`.

    ``calibration``: that of the fold models, if there are any. ``seconds``: duration of each step.
    ``history``: refinements that led to it.
    """
    images, settings = prepared.images, prepared.settings
    source = request.source
    return finish(
        folder,
        prepared.method,
        Preprocessing.of(setup.framing),
        images.parity_tiles(_PARITY_SAMPLE, request.config.seed),
        images.held_out,
        Teacher(
            name=source.name,
            file=source.file,
            sha256=source.sha256,
            backbone=source.backbone,
            licence=setup.teacher.weights_licence,
        ),
        _training_record(request, setup, prepared, seconds, history),
        held_files=images.held_files,
        calibration=calibration,
        leave_out_outliers=request.config.leave_out_outliers and part.fold is None,
        adjust=adjust,
        method=settings.method,
        preset=settings.preset,
        configuration=settings.configuration,
    )


def _training_record(
    request: Request,
    setup: Setup,
    prepared: Prepared,
    seconds: Mapping[str, float],
    history: tuple[Refinement, ...],
) -> Training:
    """Return the manifest's record of the training."""
    images, settings, rotation = prepared.images, prepared.settings, prepared.rotation
    data, group = request.dataset.root.resolve(), request.config.group
    return Training(
        data=data.name,
        folder=str(data),
        layout=request.dataset.layout,
        images=len(images.train),
        held_out=len(images.held),
        skipped=len(images.loaded.skipped),
        useless=images.useless,
        copies=images.copies,
        group=None if group is None else str(group),
        groups=images.groups,
        set_aside=images.aside_files,
        fingerprint=images.fingerprint,
        trained_on=images.trained_on,
        rotation=rotation.rotation,
        rotation_reason=rotation.reason,
        textures=settings.textures,
        texture_images=_texture_images(request, prepared),
        steps=prepared.steps,
        seed=settings.seed,
        device=str(setup.device),
        precision=settings.precision,
        seconds=dict(seconds),
        defects=_learned(request, prepared, history),
        history=history,
    )


def _learned(
    request: Request, prepared: Prepared, history: tuple[Refinement, ...]
) -> LearnedDefects | None:
    """Return the record of the known defects that the head learned from, now or in a parent.

    A head keeps what it learned from images that are gone: they stay in the record.
    """
    before = request.learned
    if prepared.known is None:
        return before
    defects = prepared.known.defects
    refined = [one.defects for one in history if one.defects is not None]
    folder = request.config.defects or (None if history else request.dataset.root)
    folders = [*refined, *([] if folder is None else [folder.resolve()])]
    now = LearnedDefects(
        folders=tuple(dict.fromkeys(map(str, folders))),
        types=defects.counts,
        without_mask=defects.bare,
        files=defects.files,
    )
    if before is None:
        return now
    return LearnedDefects(
        folders=tuple(dict.fromkeys([*before.folders, *now.folders])),
        types={
            kind: max(one.types.get(kind, 0) for one in (before, now))
            for kind in sorted(before.types | now.types)
        },
        without_mask=max(before.without_mask, now.without_mask),
        files=tuple(dict.fromkeys([*before.files, *now.files])),
    )


def _texture_images(request: Request, prepared: Prepared) -> int | None:
    """Return the number of images that textures were cut from; None if they were drawn."""
    given = request.config.textures is not None and prepared.config.anomalies is not None
    return len(prepared.textures) if given else None


def report_guarantee(
    request: Request, images: GoodImages, inspector: Inspector, folder: Path
) -> None:
    """Report the guarantee of the thresholds and the suspicious images behind them."""
    say, config = request.reporter.say, request.config
    calibration = inspector.manifest.calibration
    if config.leave_out_outliers:
        say(describe_left_out(calibration.left_out, images.names))
    say(describe_highest_scores(calibration, images.names))
    say(calibration.statement())
    # with folds, every image is held out once
    if not calibration.folds:
        warning = warn_of_training_outliers(images, inspector, config.seed)
        if warning is not None:
            say(warning)
    if (warning := warn_of_outliers(calibration, images.names, folder)) is not None:
        say(warning)


def finish(
    folder: Path,
    trained: Method,
    preprocessing: Preprocessing,
    tiles: NDArray[np.uint8],
    held_out: Iterable[NDArray[np.uint8]],
    teacher: Teacher,
    training: Training,
    held_files: Sequence[str] = (),
    calibration: Calibration | None = None,
    leave_out_outliers: bool = False,
    adjust: Adjust | None = None,
    **named: Any,
) -> Inspector:
    """Turn a trained method into the inspector in ``folder``; the manifest is written last.

    ``tiles``: tiles (h, w, 3) of good images, for parity. ``held_out``: good images (H, W, 3) for
    thresholds, processed as the inspector does; ``held_files``: SHA-256 of their files. Both are
    ignored if ``calibration`` is given. ``leave_out_outliers``: exclude images whose scores are
    outliers. ``adjust`` changes the manifest before it is written, once the other files are there.
    Raises FlawmapError if the outputs of ONNX graph and module differ by more than 1e-4.
    """
    graph, parity = _export(trained, preprocessing.size, folder / GRAPH, tiles)
    # Includes the teacher's weights, so that a teacher file given by the user need not be kept.
    state = {k: v.cpu().contiguous() for k, v in trained.module.state_dict().items()}
    write_bytes(folder / WEIGHTS, save_safetensors(state))
    if calibration is None:
        inference = TiledInference.of(preprocessing.framing, named["configuration"])
        raw = (inference.one(graph, image) for image in held_out)
        scores, maxima = zip(
            *((one.score, float(one.anomaly_map.max())) for one in raw), strict=True
        )
        reused = len(training.history)
        calibration = Calibration.from_scores(scores, maxima, images=held_files, reused=reused)
    if leave_out_outliers:
        calibration = without(calibration, apart(calibration))
    manifest = Manifest(
        preprocessing=preprocessing,
        teacher=teacher,
        calibration=calibration,
        training=training,
        parity=parity,
        files={name: file_digest(folder, name) for name in (GRAPH, WEIGHTS)},
        versions=versions(),
        decoder=decoder_here(),
        **named,
    )
    if adjust is not None:
        manifest = adjust(folder, manifest)
    save_manifest(folder, manifest)
    return Inspector(manifest, graph)


def _export(
    trained: Method, size: Size, path: Path, tiles: NDArray[np.uint8]
) -> tuple[OnnxRuntime, Parity]:
    """Write the ONNX graph and compare it with the module.

    If they differ, the network is traced anew, in case that the graph of another one misled.
    """

    def attempt(anew: bool) -> tuple[OnnxRuntime, Parity]:
        network = export_onnx(
            trained.module, size, path, has_distances=trained.has_distances, anew=anew
        )
        graph = OnnxRuntime(path.read_bytes())
        return graph, measure_parity(graph, network, tiles)

    try:
        return attempt(anew=False)
    except FlawmapError:
        return attempt(anew=True)


def measure_parity(graph: Backend, network: InferenceGraph, images: NDArray[np.uint8]) -> Parity:
    """Measure the largest differences between ONNX graph and torch; FlawmapError above 1e-4.

    ``images``: tiles (N, h, w, 3) of the working size.
    """
    worst_map = worst_score = 0.0
    for image in images:
        maps, scores = graph(image[None])
        with torch.no_grad():
            network_maps, network_scores, *_ = network(torch.from_numpy(image[None].copy()))
        # np.maximum propagates NaN, Python's max() may lose it
        worst_map = float(np.maximum(worst_map, np.abs(maps - network_maps.numpy()).max()))
        worst_score = float(np.maximum(worst_score, np.abs(scores - network_scores.numpy()).max()))
    if not (worst_map <= PARITY_LIMIT and worst_score <= PARITY_LIMIT):
        raise FlawmapError(
            f"The ONNX graph differs from the trained network by {worst_map:.2g} (map) and "
            f"{worst_score:.2g} (score), more than {PARITY_LIMIT:g}. Train again with another "
            "--seed, and report a bug if that does not help."
        )
    return Parity(images=len(images), map=worst_map, score=worst_score, limit=PARITY_LIMIT)
