"""``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flawmap.cli.options import Rotate, need_torch
from flawmap.errors import UsageError


def bench(
    grid: Annotated[
        Path | None,
        typer.Argument(metavar="GRID.yaml", help="Its keys are the options; or: ablation."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of categories.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Folder in --data; may be repeated, as the next four.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="destseg, adps or stpm.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="fast or paper.")] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="pocket, resnet18, a file.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="0 if none is given.")] = None,
    textures: Annotated[Path | None, typer.Option(help="As for train.")] = None,
    rotate: Annotated[Rotate | None, typer.Option(help="As for train.")] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="As for train.")] = None,
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
    from flawmap.benchmark.ablation import find_ablation
    from flawmap.benchmark.grid import check_grid, read_grid
    from flawmap.benchmark.table import read_results, render

    if table:
        typer.echo(render(read_results(out)), nl=False)
        return
    need_torch()
    flags = {
        "data": data, "category": category, "method": method, "preset": preset,
        "teacher": teacher, "seed": seed, "textures": textures, "steps": steps,
        "rotate": rotate.value if rotate else None, "batch_size": batch_size, "device": device,
        "size": size,
    }  # fmt: skip
    given = {key: value for key, value in flags.items() if value not in (None, [])}
    if grid is not None and str(grid) == "ablation":
        base: dict[str, Any] = {"preset": "paper", "variant": find_ablation(_only(method))}
    else:
        base = read_grid(grid).model_dump() if grid else {}
    if "data" not in base | given:
        raise UsageError("Nothing to measure: give a GRID.yaml, or --data.")
    asked = check_grid(base | given, "The grid")
    flawmap.bench(asked, out, work=work, keep=keep, say=lambda text: typer.echo(text, err=True))
    typer.echo(render(read_results(out)), nl=False)


def _only(methods: list[str] | None) -> str:
    """The one method that an ablation is of."""
    if methods and len(methods) > 1:
        raise UsageError("An ablation is of one method: give --method once.")
    return methods[0] if methods else "destseg"
