"""The ``calibrate`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawmap.cli.options import Run, rate


def calibrate(
    run: Run,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="GOOD_IMAGES",
            help="Good images, or folders of them; the stored scores if none.",
        ),
    ] = None,
    false_reject: Annotated[
        float | None,
        typer.Option(
            parser=rate, metavar="RATE", help="Good parts that may be rejected, such as 0.5%."
        ),
    ] = None,
    review: Annotated[
        float | None,
        typer.Option(
            parser=rate, metavar="RATE", help="Good parts that may be rejected or sent to review."
        ),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the images that calibrate now as well.")
    ] = False,
    defects: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE|DIR", help="Known defects: their recall is told and changes nothing."
        ),
    ] = None,
    leave_out_outliers: Annotated[
        bool,
        typer.Option(
            "--leave-out-outliers",
            help="Do not count good images whose scores stand apart; they are named.",
        ),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write what was found to this file.")] = None,
) -> None:
    """Set the thresholds anew, with a guarantee; nothing is trained."""
    import flawmap
    from flawmap.cli.console import counting_display, show_calibration

    with counting_display("calibrating") as show:
        found = flawmap.calibrate(
            run,
            images or None,
            false_reject=false_reject,
            review=review,
            add=add,
            defects=defects or None,
            leave_out_outliers=leave_out_outliers,
            json_file=json,
            show=show,
        )
    show_calibration(found)
    if json is not None:
        typer.echo(f"Wrote {json}")
