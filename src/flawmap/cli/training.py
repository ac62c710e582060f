"""The commands ``train``, ``refine``, ``distill`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flawmap.cli.config_options import ConfigCommand
from flawmap.cli.options import PATH, data_argument, need_torch, reports, run_argument


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
@run_argument
@click.option("--out", type=PATH, required=True, help="Folder to write the new inspector to.")
@click.option(
    "--defects",
    type=PATH,
    help="Folder of known defects: a folder for each type, with masks in masks/TYPE; or any layout "
    "that evaluate reads.",
)
@click.option(
    "--good",
    type=PATH,
    help="Folder of further good parts, such as rejected ones. They are trained on and never "
    "calibrate.",
)
@click.option(
    "--data", type=PATH, help="The folder that RUN was trained on. Default: where it lay then."
)
@click.option(
    "--test", type=PATH, help="Labelled images to compare both runs on. Default: those of DATA."
)
@click.option("--textures", type=PATH, help="As for train. Default: drawn by flawmap.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of all random numbers.")
@click.option("--device", default="auto", help="Device to train on: auto, cpu or cuda.")
@click.option("--resume", is_flag=True, help="Continue a stopped run from its newest checkpoint.")
def refine(run: Path, out: Path, test: Path | None, **options: Any) -> None:
    """Teach an inspector known defects, and good parts that it rejected."""
    need_torch("flawmap refine")
    import flawmap
    from flawmap.cli.console.progress import counting_display, training_display
    from flawmap.cli.console.refinement import show_refinement

    if test is not None and not test.exists():
        raise flawmap.UsageError(f"There is no {test}: --test names labelled images.")
    with training_display() as reporter:
        inspector = flawmap.refine(run, out, reporter=reporter, **options)
    data = test or options["data"] or Path(inspector.manifest.training.folder)
    with counting_display("comparing") as show:
        comparison = flawmap.compare_with_parent(run, out, data, show=show)
    show_refinement(comparison, data)
    click.echo(f"Inspector: {out}")


@click.command()
@click.option(
    "--teacher", required=True, help="Large backbone to imitate; as for train, such as timm:NAME."
)
@click.option("--images", type=PATH, required=True, help="Folder of images to learn from.")
@click.option("--out", type=PATH, required=True, help="File to write, ending in .safetensors.")
@click.option("--steps", type=click.IntRange(min=2), default=3000, help="Training steps.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of all random numbers.")
def distill(teacher: str, images: Path, out: Path, steps: int, seed: int) -> None:
    """Make a small teacher for your images from a large one, for train --teacher."""
    need_torch()
    import flawmap
    from flawmap.cli.console.progress import counting_display
    from flawmap.cli.console.terminal import say

    with counting_display("distilling") as show:
        found = flawmap.distill(teacher, images, out, steps=steps, seed=seed, say=say, show=show)
    near, constant = (
        ", ".join(f"{value:.3f}" for value in values) for values in (found.cosine, found.constant)
    )
    say(
        f"On {found.held_out} held-out pieces of images, the mean cosine of its features to the "
        f"large teacher's is {near} by stage; that of a constant would be {constant}."
    )
    say(
        f"{out}: {found.parameters / 1e6:.1f} million parameters, {found.megabytes:.1f} MB. "
        f"Train with --teacher {out}"
    )


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
