"""The command line: each verb a thin call of a function that anyone can import."""

from __future__ import annotations

import io
import logging
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from flawmap.errors import FlawmapError, UsageError

app = typer.Typer(
    name="flawmap",
    help="Photograph good parts; get a map of every flaw.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Rotate(str, Enum):
    """How good images are turned in training."""

    auto = "auto"
    none = "none"
    slight = "slight"
    full = "full"


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that train wrote.")]
Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="MVTec AD category, or a folder with good/ in it."),
]
Layout = Annotated[str, typer.Option(help="Layout of DATA: auto, mvtec or folder.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder that the inspector is written to.")],
    method: Annotated[str, typer.Option(help="Only destseg so far.")] = "destseg",
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
    steps: Annotated[
        int | None, typer.Option(help="Training steps, in place of the preset's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="In place of the preset's.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Change the preset; may be repeated."),
    ] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint.")
    ] = False,
    layout: Layout = "auto",
) -> None:
    """Learn from images of good parts; writes an inspector."""
    _need_torch()
    import flawmap
    from flawmap.console import training_display
    from flawmap.training.run import DEFAULT_TEACHER

    with training_display() as reporter:
        flawmap.train(
            data,
            out,
            method=method,
            preset=preset,
            teacher=teacher or DEFAULT_TEACHER,
            textures=textures,
            rotate=rotate.value,
            steps=steps,
            batch_size=batch_size,
            changes=_changes(set or []),
            seed=seed,
            device=device,
            resume=resume,
            layout=layout,
            reporter=reporter,
        )
        reporter.say(f"Inspector: {out}")


@app.command()
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
) -> None:
    """Measure an inspector on labelled images."""
    import flawmap
    from flawmap.console import counting_display, show_evaluation

    levels = _levels(distances)
    with counting_display("evaluating") as show:
        found = flawmap.evaluate(
            run, data, layout=layout, json_file=json, report=report, distances=levels, show=show
        )
    show_evaluation(found)
    for path in (json, report):
        if path is not None:
            typer.echo(f"Wrote {path}")


@app.command()
def predict(
    run: Run,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE|DIR", help="Images, or folders of them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for overlays, masks and raw maps.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write a JSON line an image to this file; - prints them.")
    ] = None,
) -> None:
    """Inspect images: a verdict each, with --out also pictures."""
    import flawmap
    from flawmap.console import PredictionDisplay

    display = PredictionDisplay(quiet=str(json) == "-")
    lines = flawmap.predict(run, images, out=out, json_file=json, show=display)
    display.close()
    for path in (out, json):
        if path is not None and str(path) != "-":
            typer.echo(f"Wrote {path}", err=str(json) == "-")
    if all("error" in line for line in lines):
        raise FlawmapError("No image could be inspected.")


@app.command()
def info(run: Run) -> None:
    """Tell what an inspector learned from and what it promises."""
    from flawmap.console import show_info
    from flawmap.inspector.manifest import read_manifest

    show_info(read_manifest(run))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another product.")] = 0,
) -> None:
    """Do the whole job on a product that flawmap draws itself."""
    _need_torch()
    import flawmap
    from flawmap.console import show_evaluation, training_display

    with training_display() as reporter:
        found = flawmap.demo(out, seed=seed, reporter=reporter)
    show_evaluation(found)
    typer.echo(f"Report: {(out / 'report.html').resolve()}")


@app.command()
def bench(
    grid: Annotated[
        Path | None,
        typer.Argument(metavar="GRID.yaml", help="Its keys are the options; or: ablation."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of categories.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Folder in --data; may be repeated, as the next four.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="destseg.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="fast or paper.")] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="pocket, resnet18, a file.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="0 if none is given.")] = None,
    textures: Annotated[Path | None, typer.Option(help="As for train.")] = None,
    rotate: Annotated[Rotate | None, typer.Option(help="As for train.")] = None,
    steps: Annotated[int | None, typer.Option(help="As for train.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="As for train.")] = None,
    device: Annotated[str | None, typer.Option(help="As for train.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results, a JSON file a run.")] = Path(
        "bench"
    ),
    work: Annotated[
        Path | None, typer.Option(help="Folder of runs in training; OUT/runs if not given.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the inspectors in WORK.")] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Measure nothing: print the results as Markdown.")
    ] = False,
) -> None:
    """Train and evaluate a whole grid; print the table."""
    import flawmap
    from flawmap.benchmark.ablation import ABLATION
    from flawmap.benchmark.grid import check_grid, read_grid
    from flawmap.benchmark.table import read_results, render

    if table:
        typer.echo(render(read_results(out)), nl=False)
        return
    _need_torch()
    flags = {
        "data": data, "category": category, "method": method, "preset": preset,
        "teacher": teacher, "seed": seed, "textures": textures, "steps": steps,
        "rotate": rotate.value if rotate else None, "batch_size": batch_size, "device": device,
    }  # fmt: skip
    given = {key: value for key, value in flags.items() if value not in (None, [])}
    if grid is not None and str(grid) == "ablation":
        base: dict[str, Any] = {"preset": "paper", "variant": ABLATION}
    else:
        base = read_grid(grid).model_dump() if grid else {}
    if "data" not in base | given:
        raise UsageError("Nothing to measure: give a GRID.yaml, or --data.")
    asked = check_grid(base | given, "The grid")
    flawmap.bench(asked, out, work=work, keep=keep, say=lambda text: typer.echo(text, err=True))
    typer.echo(render(read_results(out)), nl=False)


def _levels(text: str | None) -> list[int]:
    try:
        return [int(word) for word in text.split(",")] if text is not None else []
    except ValueError as error:
        raise UsageError(f"--distances {text}: give levels such as 1,2,3.") from error


def _changes(words: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as configuration; a value that is no JSON is text."""
    import json

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


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise FlawmapError("Training needs torch: pip install 'flawmap[train]'")


def main() -> None:
    """Run the command line; a failure is a line or two for a person, and an exit status."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may hold what it cannot encode
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(app))


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
        typer.echo("flawmap: stopped.", err=True)
        return 1
    return int(status or 0)
