"""The ``calibrate`` command."""

from __future__ import annotations

from pathlib import Path

import click

from flawmap.cli.options import PATH, json_option, rate, run_argument


@click.command()
@run_argument
@click.argument(
    "images",
    nargs=-1,
    type=PATH,
    metavar="[GOOD_IMAGES]...",
    help="Good images, or folders of them. Default: the stored scores.",
)
@click.option(
    "--false-reject",
    type=rate,
    metavar="RATE",
    help="Largest fraction of good parts that may be rejected, such as 0.5%.",
)
@click.option(
    "--review",
    type=rate,
    metavar="RATE",
    help="Largest fraction of good parts that may be rejected or sent to review, such as 5%.",
)
@click.option("--add", is_flag=True, help="Add to the images that calibrate the run now.")
@click.option(
    "--defects",
    type=PATH,
    multiple=True,
    metavar="IMAGE|DIR",
    help="Known defects: report how many are caught, without changing anything. May be repeated.",
)
@click.option(
    "--leave-out-outliers",
    is_flag=True,
    help="Leave out good images whose scores are outliers; they are listed.",
)
@json_option("Write the thresholds and their guarantee to this file.")
def calibrate(
    run: Path,
    images: tuple[Path, ...],
    false_reject: float | None,
    review: float | None,
    add: bool,
    defects: tuple[Path, ...],
    leave_out_outliers: bool,
    json_file: Path | None,
) -> None:
    """Set the thresholds again, with a guarantee; nothing is trained."""
    import flawmap
    from flawmap.cli.console.progress import counting_display
    from flawmap.cli.console.thresholds import show_calibration

    with counting_display("calibrating") as show:
        result = flawmap.calibrate(
            run,
            images or None,
            false_reject=false_reject,
            review=review,
            add=add,
            defects=defects or None,
            leave_out_outliers=leave_out_outliers,
            json_file=json_file,
            show=show,
        )
    show_calibration(result)
    if json_file is not None:
        click.echo(f"Wrote {json_file}")
