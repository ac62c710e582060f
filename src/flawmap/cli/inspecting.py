"""The commands ``evaluate``, ``predict``, ``drift`` and ``info``, which need no torch."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from flawmap.cli.interruption import stopping_well
from flawmap.cli.options import (
    PATH,
    data_argument,
    json_option,
    lines_option,
    rate,
    run_argument,
    runtime_options,
)
from flawmap.data.known_layouts import LAYOUT_CHOICES
from flawmap.errors import FlawmapError, UsageError

if TYPE_CHECKING:
    from flawmap.cli.console.predictions import PredictionDisplay
    from flawmap.runtime.base import RuntimeOptions


def _levels(ctx: click.Context, param: click.Parameter, text: str | None) -> list[int]:
    """Parse ``1,2,3``; UsageError otherwise."""
    try:
        return [int(word) for word in text.split(",")] if text is not None else []
    except ValueError as error:
        raise UsageError(f"--distances {text}: give levels such as 1,2,3.") from error


@click.command()
@run_argument
@data_argument
@json_option("Write all metrics to this file.")
@click.option("--report", type=PATH, help="Write an HTML report to this file.")
@click.option(
    "--distances",
    metavar="LEVELS",
    callback=_levels,
    help="Instead of the anomaly map, measure the product of the distances of teacher and student "
    "at these levels, such as 1,2,3.",
)
@click.option("--layout", default="auto", help=f"Layout of DATA: {LAYOUT_CHOICES}.")
@runtime_options
def evaluate(
    run: Path,
    data: Path,
    json_file: Path | None,
    report: Path | None,
    distances: list[int],
    layout: str,
    **runtime: Unpack[RuntimeOptions],
) -> None:
    """Measure an inspector's accuracy on labelled images."""
    import flawmap
    from flawmap.cli.console.evaluation import show_evaluation
    from flawmap.cli.console.progress import counting_display

    with counting_display("evaluating") as show:
        evaluation = flawmap.evaluate(
            run,
            data,
            layout=layout,
            json_file=json_file,
            report=report,
            distances=distances,
            show=show,
            **runtime,
        )
    show_evaluation(evaluation)
    for path in (json_file, report):
        if path is not None:
            click.echo(f"Wrote {path}")


@click.command()
@run_argument
@click.argument(
    "images",
    nargs=-1,
    type=click.Path(),
    metavar="[IMAGE|DIR|URL]...",
    help="Images, or folders of them.",
)
@click.option(
    "--list",
    "lists",
    type=click.Path(),
    multiple=True,
    metavar="FILE",
    help="File that lists images, paths or URLs: text, one a line, or Parquet with a column path. "
    "May be repeated.",
)
@click.option("--out", type=PATH, help="Folder for overlays, masks and anomaly maps.")
@lines_option
@click.option(
    "--parquet",
    type=PATH,
    metavar="DIR",
    help="Write the records to Parquet files in this folder, and continue what is in it: images "
    "that have a record there are not inspected again.",
)
@click.option(
    "--watch",
    type=PATH,
    metavar="DIR",
    help="Inspect each image that appears in this folder, until Ctrl-C; the file of --json records "
    "which are done.",
)
@click.option("--batch", type=click.IntRange(min=1), default=1, help="Images per inference.")
@click.option(
    "--on",
    default="auto",
    help="threads of one process, local processes, ray, ray://HOST:PORT, or auto: local from 200 "
    "images on where there are several cores, otherwise threads.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes or actors of Ray. Default: as many as there are cores.",
)
@runtime_options
def predict(
    run: Path,
    images: tuple[str, ...],
    lists: tuple[str, ...],
    out: Path | None,
    json_file: Path | None,
    parquet: Path | None,
    watch: Path | None,
    batch: int,
    on: str,
    workers: int | None,
    **runtime: Unpack[RuntimeOptions],
) -> None:
    """Inspect images and print a verdict for each."""
    import flawmap
    from flawmap.cli.console.predictions import PredictionDisplay
    from flawmap.cli.console.terminal import say

    display = PredictionDisplay(quiet=str(json_file) == "-")
    if watch is not None:
        many = lists or parquet is not None or on != "auto" or workers is not None
        if images or many or json_file is None or str(json_file) == "-" or batch > 1:
            raise UsageError(
                "--watch DIR needs --json FILE, which records what is done, and takes no images, "
                "--list, --parquet, --batch, --on and --workers: each image is inspected when it "
                "arrives."
            )
        _watch(run, watch, json_file, out, display, runtime)
        return
    if not images and not lists:
        raise UsageError("Nothing to inspect: name an image or a folder, or --watch DIR.")
    with stopping_well(display, json_file, parquet):
        flawmap.predict(
            run,
            images,
            lists=lists,
            out=out,
            json_file=json_file,
            parquet=parquet,
            on=on,
            workers=workers,
            batch=batch,
            keep=False,
            show=display,
            say=partial(say, err=True),
            **runtime,
        )
    display.close()
    for path in (out, json_file, parquet):
        if display.count and path is not None and str(path) != "-":
            click.echo(f"Wrote {path}", err=str(json_file) == "-")
    if display.all_failed:
        raise FlawmapError("No image could be inspected.")


def _watch(
    run: Path,
    folder: Path,
    json_file: Path,
    out: Path | None,
    display: PredictionDisplay,
    runtime: RuntimeOptions,
) -> None:
    """Inspect what arrives in ``folder`` until Ctrl-C."""
    import flawmap
    from flawmap.cli.console.terminal import say

    note = partial(say, err=True)
    with contextlib.suppress(KeyboardInterrupt):
        flawmap.watch(run, folder, json_file=json_file, out=out, show=display, say=note, **runtime)
    display.close()


@click.command()
@run_argument
@click.argument(
    "scores", type=PATH, metavar="SCORES.jsonl", help="File of predict --json or predict --watch."
)
@click.option(
    "--false-alarm",
    type=rate,
    default=0.01,
    metavar="RATE",
    help="Largest probability of ever raising an alarm if nothing has changed.",
)
@click.option(
    "--rejected", is_flag=True, help="Include rejected parts, if all parts are known to be good."
)
@json_option("Write the result to this file.")
def drift(
    run: Path, scores: Path, false_alarm: float, rejected: bool, json_file: Path | None
) -> None:
    """Test stored scores for drift.

    An alarm is a result and not a failure: the exit status is 0 with and without one.
    """
    import flawmap

    result = flawmap.drift(
        run, scores, false_alarm=false_alarm, rejected=rejected, json_file=json_file
    )
    click.echo(result.statement())
    if json_file is not None:
        click.echo(f"Wrote {json_file}")


@click.command()
@run_argument
def info(run: Path) -> None:
    """Show how an inspector was trained and what it guarantees."""
    from flawmap.cli.console.info import show_info
    from flawmap.inspection.bundle.manifest import read_manifest

    show_info(read_manifest(run))
