"""Write ``docs/reference-cli.md`` from the command line's own help: ``make docs``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from flawmap.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference-cli.md"


def render() -> str:
    """Return the page in Markdown."""
    context = click.Context(app, info_name="flawmap", **app.context_settings)
    return "\n".join(["# Command line", "", *_section(context, 2)]).rstrip() + "\n"


def _section(context: click.Context, level: int) -> Iterator[str]:
    """Yield the lines of a command, then those of its subcommands under headings."""
    command = context.command
    yield from (command.help or "").splitlines()
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("", "```console", f"$ {usage}", "```", "")
    parameters = command.get_params(context)
    arguments = [one for one in parameters if isinstance(one, click.Argument)]
    yield from _list("Arguments", arguments, context)
    yield from _list("Options", [one for one in parameters if one not in arguments], context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from (f"{'#' * level} `{context.command_path} {name}`", "")
            child = command.commands[name]
            yield from _section(click.Context(child, context, name), level + 1)


def _list(title: str, parameters: list[click.Parameter], context: click.Context) -> Iterator[str]:
    if parameters:
        yield from (f"**{title}**:", "")
        for parameter in parameters:
            name, text = parameter.get_help_record(context) or ("", "")
            yield f"* `{name}`: {text}"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
