"""The command ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from flawmap.cli.options import PATH, runtime_options

if TYPE_CHECKING:
    from flawmap.runtime.base import RuntimeOptions


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    metavar="[NAME=]RUN...",
    help="Run folders, one a product; the product's name is the folder's, or the one given. A run "
    "that is new to its product becomes its model. Products of earlier starts are served as well.",
)
@click.option(
    "--data", type=PATH, default=Path("station"), help="Folder for images, maps and the database."
)
@click.option(
    "--database",
    metavar="URL",
    help="Such as postgresql+psycopg://user@host/name. Default: SQLite in the folder of --data.",
)
@click.option(
    "--watch",
    multiple=True,
    metavar="[PRODUCT=]DIR",
    help="Inspect each image that appears in this folder, now and after later starts. May be "
    "repeated.",
)
@click.option(
    "--camera",
    multiple=True,
    metavar="[PRODUCT=]WHERE",
    help="Inspect an image a second of this camera, now and after later starts: a device's number, "
    "a URL (rtsp://, http://) or a video file. May be repeated.",
)
@click.option(
    "--opcua",
    metavar="ADDRESS",
    help="Let controllers read the last results by OPC UA, such as at opc.tcp://127.0.0.1:4840.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8420, help="0 for any free port.")
@click.option("--proxy", is_flag=True, help="Behind a reverse proxy that ends TLS.")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name under which browsers reach the station, such as the proxy's. May be repeated.",
)
@click.option(
    "--reset-administrator",
    is_flag=True,
    help="Print a link that makes whoever opens it an administrator: for a forgotten password.",
)
@click.option("--log-json", is_flag=True, help="Write log lines to stderr as JSON objects.")
@runtime_options
def serve(
    runs: tuple[str, ...],
    data: Path,
    database: str | None,
    watch: tuple[str, ...],
    camera: tuple[str, ...],
    opcua: str | None,
    host: str,
    port: int,
    proxy: bool,
    allow_hosts: tuple[str, ...],
    reset_administrator: bool,
    log_json: bool,
    **runtime: Unpack[RuntimeOptions],
) -> None:
    """Inspect over HTTP, and show people what was decided."""
    import flawmap
    from flawmap.cli.console.terminal import say

    flawmap.serve(
        runs,
        data=data,
        database=database,
        watch=watch,
        camera=camera,
        opcua=opcua,
        host=host,
        port=port,
        proxy=proxy,
        allow_hosts=allow_hosts,
        reset_administrator=reset_administrator,
        log_json=log_json,
        say=say,
        **runtime,
    )
