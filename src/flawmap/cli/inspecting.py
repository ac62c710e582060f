"""The commands ``evaluate``, ``predict``, ``drift`` and ``info``, which need no torch."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from flawmap.cli.interruption import stopping_well
from flawmap.cli.options import Backend, Data, Device, Layout, PrecisionName, Run, Threads, rate
from flawmap.errors import FlawmapError, UsageError


def evaluate(
    run: Run,
    data: Data,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    distances: Annotated[
        str | None,
        typer.Option(
            metavar="LEVELS",
            help="Measure the product of teacher's and student's distances at these levels, "
            "such as 1,2,3, and not the map.",
        ),
    ] = None,
    layout: Layout = "auto",
    backend: Backend = "auto",
    precision: PrecisionName = "float32",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Measure an inspector on labelled images."""
    import flawmap
    from flawmap.cli.console import counting_display, show_evaluation

    levels = _levels(distances)
    with counting_display("evaluating") as show:
        found = flawmap.evaluate(
            run,
            data,
            layout=layout,
            json_file=json,
            report=report,
            distances=levels,
            backend=backend,
            precision=precision,
            device=device,
            threads=threads,
            show=show,
        )
    show_evaluation(found)
    for path in (json, report):
        if path is not None:
            typer.echo(f"Wrote {path}")


def predict(
    run: Run,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE|DIR", help="Images, or folders of them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for overlays, masks and raw maps.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write a JSON line an image to this file; - prints them.")
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Inspect each picture that a camera drops into this folder, until Ctrl-C; --json "
            "remembers which are done.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images that go through at once.")] = 1,
    backend: Backend = "auto",
    precision: PrecisionName = "float32",
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Inspect images: a verdict each, with --out also pictures."""
    import flawmap
    from flawmap.cli.console import PredictionDisplay, errors
    from flawmap.runtime.base import RuntimeOptions

    runtime: RuntimeOptions = {
        "backend": backend, "precision": precision, "device": device, "threads": threads,
    }  # fmt: skip
    display = PredictionDisplay(quiet=str(json) == "-")
    if watch is not None:
        if images or json is None or str(json) == "-" or batch > 1:
            raise UsageError(
                "--watch DIR takes --json FILE, which remembers what is done, no images "
                "and no --batch: each picture is inspected when it comes."
            )
        with contextlib.suppress(KeyboardInterrupt):
            flawmap.watch(
                run, watch, json_file=json, out=out, show=display, say=errors.print, **runtime
            )
        display.close()
        return
    if not images:
        raise UsageError("Nothing to inspect: name an image or a folder, or --watch DIR.")
    with stopping_well(display, json):
        records = flawmap.predict(
            run, images, out=out, json_file=json, batch=batch, show=display, **runtime
        )
    display.close()
    for path in (out, json):
        if path is not None and str(path) != "-":
            typer.echo(f"Wrote {path}", err=str(json) == "-")
    if all(record.failed for record in records):
        raise FlawmapError("No image could be inspected.")


def drift(
    run: Run,
    scores: Annotated[
        Path, typer.Argument(metavar="SCORES.jsonl", help="Lines of predict --json or --watch.")
    ],
    false_alarm: Annotated[
        float,
        typer.Option(
            parser=rate, metavar="RATE", help="Probability of ever an alarm while nothing changes."
        ),
    ] = 0.01,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Rejected parts count, too: all are known as good.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the finding to this file.")] = None,
) -> None:
    """Tell whether good parts still look as they did.

    An alarm is a finding and no failure: the exit status is 0 with and without one.
    """
    import flawmap

    found = flawmap.drift(run, scores, false_alarm=false_alarm, rejected=rejected, json_file=json)
    typer.echo(found.statement())
    if json is not None:
        typer.echo(f"Wrote {json}")


def info(run: Run) -> None:
    """Tell what an inspector learned from and what it promises."""
    from flawmap.cli.console import show_info
    from flawmap.inspection.bundle.manifest import read_manifest

    show_info(read_manifest(run))


def _levels(text: str | None) -> list[int]:
    try:
        return [int(word) for word in text.split(",")] if text is not None else []
    except ValueError as error:
        raise UsageError(f"--distances {text}: give levels such as 1,2,3.") from error
