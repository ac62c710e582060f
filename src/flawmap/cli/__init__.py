"""The command line: each command is a thin wrapper of a public function."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Annotated, Any

import typer

from flawmap import __version__
from flawmap.cli.benchmarking import bench
from flawmap.cli.calibrating import calibrate
from flawmap.cli.exporting import export
from flawmap.cli.inspecting import drift, evaluate, info, predict
from flawmap.cli.judging import judge, regions
from flawmap.cli.training import demo, train
from flawmap.data.image_io.notes import gathered
from flawmap.errors import FlawmapError, UsageError
from flawmap.utils.signals import stopped_by_signals

_STOPPED = 130  # the exit status that shells use for a program ended by Ctrl-C

app = typer.Typer(
    name="flawmap",
    help="Photograph good parts; get a map of every flaw.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (
    train, evaluate, predict, calibrate, regions, judge, drift, export, info, demo,
):  # fmt: skip
    app.command()(verb)
app.add_typer(bench, name="bench")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"flawmap {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Photograph good parts; get a map of every flaw."""


def main() -> None:
    """Run the command line; report failures in a line or two and by the exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold characters it cannot encode
            stream.reconfigure(errors="backslashreplace")
    with gathered(_say), stopped_by_signals():  # notes on reading, printed once per command
        status = _run(app)
    sys.exit(status)


def _stopped() -> int:
    with contextlib.suppress(OSError):  # the terminal itself may have closed
        typer.echo("flawmap: stopped.", err=True)
    return _STOPPED


def _say(line: str) -> None:
    from flawmap.cli.console import errors

    errors.print(line)


def _run(command: Any) -> int:
    try:
        status = command(standalone_mode=True)
    except UsageError as error:
        typer.echo(f"flawmap: {error}", err=True)
        return 2
    except FlawmapError as error:
        typer.echo(f"flawmap: {error}", err=True)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"flawmap: {where}{error.strerror or error}.", err=True)
        return 1
    except KeyboardInterrupt:
        return _stopped()
    except SystemExit as end:  # typer's own, after a silent Ctrl-C
        if end.code != _STOPPED:
            raise
        return _stopped()
    return int(status or 0)
