"""The commands ``train`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flawmap.cli.config_options import ConfigCommand
from flawmap.cli.options import PATH, data_argument, need_torch, reports


@click.command(cls=ConfigCommand)
@data_argument
@click.option("--out", type=PATH, required=True, help="Folder to write the inspector to.")
@click.option("--resume", is_flag=True, help="Continue a stopped run from its newest checkpoint.")
def train(data: Path, out: Path, resume: bool, changes: Any, **options: Any) -> None:
    """Train an inspector on images of good parts."""
    need_torch()
    import flawmap
    from flawmap.cli.console.progress import training_display

    given = {name: value for name, value in options.items() if value is not None}
    config = flawmap.TrainConfig.of(given | {"changes": dict(changes)})
    with training_display() as reporter:
        flawmap.train(data, out, config, resume=resume, reporter=reporter)
        if reports():
            reporter.say(f"Inspector: {out}")


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), help="Folder for everything it makes.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Each seed draws another product."
)
def demo(out: Path, seed: int) -> None:
    """Draw a product, train on it, evaluate, and write a report."""
    need_torch("flawmap demo")
    import flawmap
    from flawmap.cli.console.evaluation import show_evaluation
    from flawmap.cli.console.progress import training_display

    with training_display() as reporter:
        evaluation = flawmap.demo(out, seed=seed, reporter=reporter)
    show_evaluation(evaluation)
    click.echo(f"Report: {(out / 'report.html').resolve()}")
