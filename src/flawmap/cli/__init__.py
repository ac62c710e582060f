"""The command line: each command is a thin wrapper of a public function."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Any

import click

from flawmap import __version__
from flawmap.cli.benchmarking import bench
from flawmap.cli.calibrating import calibrate
from flawmap.cli.exporting import export
from flawmap.cli.inspecting import drift, evaluate, info, predict
from flawmap.cli.judging import judge, regions
from flawmap.cli.options import reports
from flawmap.cli.serving import serve
from flawmap.cli.training import demo, distill, refine, train
from flawmap.data.image_io.notes import gathered
from flawmap.errors import FlawmapError, UsageError
from flawmap.utils.signals import stopped_by_signals

_STOPPED = 130  # the exit status that shells use for a program ended by Ctrl-C


class _Flawmap(click.Group):
    """The verbs in the order of a workflow; Ctrl-C ends one with status 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would print to a terminal that may have closed
            raise click.exceptions.Exit(_STOPPED) from None


@click.group(
    name="flawmap",
    cls=_Flawmap,
    help="Photograph good parts; get a map of every flaw.",
    context_settings={"show_default": True},
)
@click.version_option(
    __version__, prog_name="flawmap", message="%(prog)s %(version)s",
    help="Print the version and exit.",
)  # fmt: skip
def app() -> None: ...


for verb in (
    train, refine, evaluate, predict, serve, calibrate, regions, judge, drift, export, distill,
    info, demo, bench,
):  # fmt: skip
    app.add_command(verb)


def main() -> None:
    """Run the command line; report failures in a line or two and by the exit status."""
    level = logging.WARNING if reports() else logging.ERROR
    logging.basicConfig(format="%(message)s", level=level, stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may hold characters it cannot encode
            stream.reconfigure(errors="backslashreplace")
    with gathered(_say), stopped_by_signals():  # notes on reading, printed once per command
        status = _run()
    sys.exit(status)


def _say(line: str) -> None:
    from flawmap.cli.console.terminal import say

    if reports():
        say(line, err=True)


def _run() -> int:
    try:
        status = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UsageError as error:
        click.echo(f"flawmap: {error}", err=True)
        return 2
    except FlawmapError as error:
        click.echo(f"flawmap: {error}", err=True)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"flawmap: {where}{error.strerror or error}.", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        status = _STOPPED
    if status == _STOPPED:
        with contextlib.suppress(OSError):  # the terminal itself may have closed
            click.echo("flawmap: stopped.", err=True)
    return int(status or 0)
