"""The ``export`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawmap.cli.options import Run, need_torch


def export(
    run: Run,
    to: Annotated[str, typer.Option(help="onnx or openvino.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to 8-bit integers, with thresholds of its own.")
    ] = False,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE|DIR",
            help="Where to look, too, for the images that calibrate the run; of a run calibrated "
            "by folds, good images that it has not seen.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Keep it even if it differs too much; this is recorded.")
    ] = False,
    device: Annotated[
        str,
        typer.Option(help="Compare float32 there instead: cuda with onnx; GPU, NPU with openvino."),
    ] = "cpu",
) -> None:
    """Write an inspector for another runtime, or in INT8, and how near it is."""
    need_torch()
    import flawmap
    from flawmap.cli.console import show_export
    from flawmap.inspection.bundle.graphs import BF16
    from flawmap.inspection.bundle.manifest import GRAPH, read_manifest

    found = flawmap.export(
        run,
        to,
        int8=int8,
        images=images or (),
        force=force,
        device=device,
        say=lambda text: typer.echo(text, err=True),
    )
    show_export(found)
    bf16 = read_manifest(run).exports.get(BF16)
    if bf16 is not None and (to, int8, device.lower()) == ("openvino", False, "cpu"):
        typer.echo("The same graph in bf16:")
        show_export(bf16)
    for name in found.files:
        typer.echo(f"Wrote {run / name}" if name != GRAPH else f"{run / name} is it already")
