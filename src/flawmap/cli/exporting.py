"""The ``export`` command."""

from __future__ import annotations

from pathlib import Path

import click

from flawmap.cli.options import PATH, need_torch, run_argument


@click.command()
@run_argument
@click.option("--to", required=True, help="Runtime to export for: onnx or openvino.")
@click.option("--int8", is_flag=True, help="Quantise to 8-bit integers, with its own thresholds.")
@click.option(
    "--images",
    type=PATH,
    multiple=True,
    metavar="IMAGE|DIR",
    help="More places to search for the images that calibrate the run; for a run calibrated in "
    "folds, good images that it was not trained on. May be repeated.",
)
@click.option(
    "--force", is_flag=True, help="Keep an export beyond the limits of deviation; this is recorded."
)
@click.option(
    "--device",
    default="cpu",
    help="Measure the deviation of float32 on this device: cpu; cuda with onnx; GPU or NPU with "
    "openvino.",
)
def export(
    run: Path, to: str, int8: bool, images: tuple[Path, ...], force: bool, device: str
) -> None:
    """Export an inspector to another runtime, or to INT8."""
    need_torch()
    import flawmap
    from flawmap.cli.console.exports import show_export
    from flawmap.inspection.bundle.manifest import GRAPH, read_manifest
    from flawmap.inspection.bundle.models import BF16

    result = flawmap.export(
        run,
        to,
        int8=int8,
        images=images,
        force=force,
        device=device,
        say=lambda text: click.echo(text, err=True),
    )
    show_export(result)
    bf16 = read_manifest(run).exports.get(BF16)
    if bf16 is not None and (to, int8, device.lower()) == ("openvino", False, "cpu"):
        click.echo("The same model in bf16:")
        show_export(bf16)
    for name in result.files:
        click.echo(
            f"Wrote {run / name}" if name != GRAPH else f"{run / name} is that model already"
        )
