"""Fit a prepared method: fill its memory, train its weights, fit its read-out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from flawmap.inspection.bundle.training_log import TRAINING_LOG, read_log
from flawmap.methods.base import Method
from flawmap.methods.modules.parallel import synchronise_norms
from flawmap.training.choices.memory import fill_memory
from flawmap.training.prepare import Prepared, Request, Setup
from flawmap.training.steps.ahead import drawn_ahead
from flawmap.training.steps.batches import BatchMaker
from flawmap.training.steps.checkpoint import learned_state
from flawmap.training.steps.device import choose_layout, exact
from flawmap.training.steps.graphs import choose_graphs
from flawmap.training.steps.loop import Loop
from flawmap.training.steps.ranks import Ranks

READ_OUT_SAMPLE = 64  # training images to fit a method's read-out on


def fit(request: Request, setup: Setup, prepared: Prepared, folder: Path) -> None:
    """Train the method, from the newest checkpoint in ``folder`` if there is one."""
    config, method = request.config, prepared.method
    request.reporter.say(
        f"Training {config.method} ({config.preset}): {prepared.steps} steps of "
        f"{prepared.config.batch_size} in {setup.precision}"
    )
    layout = choose_layout(method.module, setup.device, setup.precision)
    method.module.to(setup.device, memory_format=layout)  # type: ignore[call-overload]
    fill_memory(method, prepared.images.loaded.array, prepared.images.train_rows, config.seed)
    ranks = request.ranks
    if ranks.count > 1:
        request.reporter.say(_shared(ranks, prepared.config.batch_size))
        synchronise_norms(method.module)
        ranks.share(list(method.module.state_dict().values()))
    graphs = choose_graphs(setup.device, asked=config.cuda_graphs, alone=ranks.count == 1)
    if graphs is not None:
        request.reporter.say("Steps are replayed as CUDA graphs; --no-cuda-graphs turns it off.")
    with drawn_ahead(_batches(request, setup, prepared, layout)) as batches:
        Loop(
            method,
            prepared.phases,
            batches,
            prepared.steps,
            folder,
            setup.device,
            setup.precision,
            request.checkpoint_seconds,
            request.reporter.show,
            ranks,
            request.reporter.say,
            graphs,
        ).run()


def _shared(ranks: Ranks, batch: int) -> str:
    own = ranks.slice_of(batch)
    return (
        f"{ranks.count} processes train together, each on {own.stop - own.start} of the {batch} "
        "images of every step; norms use all of them."
    )


def _batches(
    request: Request, setup: Setup, prepared: Prepared, layout: torch.memory_format
) -> BatchMaker:
    config = prepared.config
    return BatchMaker(
        images=prepared.images.loaded.array,
        rows=prepared.rows,
        textures=prepared.textures,
        anomalies=config.anomalies,
        batch_size=config.batch_size,
        rotation=prepared.rotation.rotation,
        fill=config.rotation_fill,
        seed=prepared.settings.seed,
        device=setup.device,
        ranks=request.ranks,
        layout=layout,
        known=prepared.known,
    )


def fit_read_out(method: Method, training_images: Iterable[NDArray[np.uint8]]) -> None:
    """Fit the method's read-out on images (h, w, 3) that it was trained on.

    Held-out images only set the thresholds, whose guarantee would not hold if they were used here.
    """
    method.module.eval()
    device = next(method.module.parameters()).device
    with torch.no_grad(), exact(device):
        method.fit_read_out(
            torch.tensor(image, device=device).permute(2, 0, 1)[None].float() / 255
            for image in training_images
        )


def bytes_to_write(method: Method) -> int:
    """Return the bytes of three checkpoints with AdamW state, plus weights and ONNX graph."""
    everything: int = sum(tensor.nbytes for tensor in method.module.state_dict().values())
    learned: int = sum(tensor.nbytes for tensor in learned_state(method.module).values())
    return 3 * 3 * learned + everything + everything


def logged_seconds(folder: Path) -> float:
    """Return the seconds of all steps, including those before a resumption."""
    lines = read_log(folder / TRAINING_LOG)
    return float(lines[-1]["seconds"]) if lines else 0.0
