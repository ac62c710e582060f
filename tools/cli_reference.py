"""Write ``docs/reference-cli.md`` from the command line's own help: ``make docs``."""

from __future__ import annotations

from pathlib import Path

import click
from typer.cli import get_docs_for_click
from typer.main import get_command

from flawmap.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference-cli.md"


def render() -> str:
    """The page in Markdown."""
    command = get_command(app)
    context = click.Context(command, info_name="flawmap")
    text = get_docs_for_click(obj=command, ctx=context, name="flawmap", title="Command line")
    return text.strip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
