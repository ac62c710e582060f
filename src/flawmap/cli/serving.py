"""The command ``serve``."""

from __future__ import annotations

from pathlib import Path

import click

from flawmap.cli.options import PATH
from flawmap.errors import FlawmapError

_PORT = 8420  # StationConfig's, which needs the extra to be imported


@click.command()
@click.argument(
    "runs",
    nargs=-1,
    metavar="[NAME=]RUN...",
    help="Run folders, one a product; the product's name is the folder's, or the one given.",
)
@click.option(
    "--data", type=PATH, default=Path("station"), help="Folder for images, maps and the database."
)
@click.option("--database", metavar="URL", help="Such as postgresql+psycopg://user@host/name.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, help="0 for any free port.")
@click.option("--proxy", is_flag=True, help="Behind a reverse proxy that ends TLS.")
def serve(
    runs: tuple[str, ...],
    data: Path,
    database: str | None,
    host: str,
    port: int,
    proxy: bool,
) -> None:
    """Inspect over HTTP, and show people what was decided."""
    try:
        from flawmap.station.serve import serve as start
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("flawmap"):
            raise
        raise FlawmapError(
            "The station needs more packages: pip install 'flawmap[serve]'"
        ) from error
    start(runs, data=data, database=database, host=host, port=port, proxy=proxy)
