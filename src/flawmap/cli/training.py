"""The commands ``train`` and ``demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flawmap.cli.options import Data, Fit, Layout, Rotate, Seed, TrainingPrecision, need_torch
from flawmap.errors import UsageError


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder that the inspector is written to.")],
    method: Annotated[str, typer.Option(help="destseg, adps or stpm.")] = "destseg",
    preset: Annotated[str, typer.Option(help="fast, or paper (hours without a GPU).")] = "fast",
    teacher: Annotated[
        str | None, typer.Option(help="pocket, resnet18, or a weights file.")
    ] = None,
    textures: Annotated[
        Path | None, typer.Option(help="Folder of pictures for anomalies; drawn if not given.")
    ] = None,
    rotate: Annotated[
        Rotate, typer.Option(help="How to turn good images; auto looks at them.")
    ] = Rotate.auto,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Working height and width, such as 640x256."),
    ] = None,
    fit: Annotated[
        Fit, typer.Option(help="How pictures come to that size: see docs/settings.md.")
    ] = Fit.squash,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, metavar="PIXELS", help="Of neighbouring tiles; a quarter by default."),
    ] = None,
    white_level: Annotated[
        int | None,
        typer.Option(
            metavar="VALUE",
            help="What is white in 16-bit images, such as 4095 of 12-bit cameras; by default tags "
            "or the highest value say.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training steps, in place of the preset's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="In place of the preset's.")] = None,
    precision: Annotated[
        TrainingPrecision | None,
        typer.Option(
            help="auto, float32 or bf16, in place of the preset's: paper has float32, fast auto."
        ),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change the preset; may be repeated."),
    ] = None,
    seed: Seed = 0,
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="For few images: calibrate on all by N twins, such as 5, in N + 1 times as long.",
        ),
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint.")
    ] = False,
    layout: Layout = "auto",
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX|folder|N",
            help="What in a path names the part: its shots stay on one side of the split.",
        ),
    ] = None,
    leave_out_outliers: Annotated[
        bool,
        typer.Option(
            "--leave-out-outliers",
            help="Thresholds without held-out images whose scores stand apart; they are named.",
        ),
    ] = False,
) -> None:
    """Learn from images of good parts; writes an inspector."""
    need_torch()
    import flawmap
    from flawmap.cli.console import training_display
    from flawmap.training.options import DEFAULT_TEACHER

    with training_display() as reporter:
        flawmap.train(
            data,
            out,
            method=method,
            preset=preset,
            teacher=teacher or DEFAULT_TEACHER,
            textures=textures,
            rotate=rotate.value,
            size=_size(size),
            fit=fit.value,
            overlap=overlap,
            white_level=white_level,
            steps=steps,
            batch_size=batch_size,
            precision=None if precision is None else precision.value,
            changes=_changes(set or []),
            seed=seed,
            folds=folds,
            device=device,
            resume=resume,
            layout=layout,
            group=group,
            leave_out_outliers=leave_out_outliers,
            reporter=reporter,
        )
        reporter.say(f"Inspector: {out}")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another product.")] = 0,
) -> None:
    """Do the whole job on a product that flawmap draws itself."""
    need_torch("flawmap demo")
    import flawmap
    from flawmap.cli.console import show_evaluation, training_display

    with training_display() as reporter:
        found = flawmap.demo(out, seed=seed, reporter=reporter)
    show_evaluation(found)
    typer.echo(f"Report: {(out / 'report.html').resolve()}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, times, width = text.partition("x")
    if not (times and height.isdecimal() and width.isdecimal()):
        raise UsageError(f"--size {text}: give height x width in pixels, such as 640x256.")
    return int(height), int(width)


def _changes(words: list[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` words into configuration; a value that is not JSON is kept as text."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {word}: give KEY=VALUE, such as --set l1_weight=0.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
