"""``bench``: run grids of trainings, compare two result sets, and time an inspector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from flawmap.cli.options import Device, PrecisionName, Rotate, Run, Threads, need_torch
from flawmap.errors import UsageError

_DEFAULT = "grid"


class _GridUnlessNamed(TyperGroup):
    """Command group that reads ``flawmap bench GRID.yaml`` as ``flawmap bench grid GRID.yaml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = [_DEFAULT, *args]
        found: list[str] = super().parse_args(ctx, args)
        return found


bench = typer.Typer(
    cls=_GridUnlessNamed,
    help="Train and evaluate grids; compare; time inspectors.",
    rich_markup_mode=None,
)


@bench.command(_DEFAULT)
def measure_grid(
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
    from flawmap.benchmark.grid import Options, check_grid, read_grid
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
        base = read_grid(grid).model_dump(exclude_defaults=True) if grid else {}
    if not {"data", "products"} & (base | given).keys():
        raise UsageError("Nothing to measure: give a GRID.yaml, or --data.")
    for product in base.get("products", ()):  # flags override the file's product options, too
        product.update({key: given[key] for key in given.keys() & Options.model_fields.keys()})
    asked = check_grid(base | given, "The grid")
    flawmap.bench(asked, out, work=work, keep=keep, say=lambda text: typer.echo(text, err=True))
    typer.echo(render(read_results(out)), nl=False)


def _only(methods: list[str] | None) -> str:
    """Return the single method of an ablation, ``destseg`` by default."""
    if methods and len(methods) > 1:
        raise UsageError("An ablation is of one method: give --method once.")
    return methods[0] if methods else "destseg"


@bench.command("compare")
def compare_results(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="A [B]",
            help="Folders of results, or patterns of files in quotes. B is A with two variants.",
        ),
    ],
    variant: Annotated[
        list[str] | None,
        typer.Option(help="That of A, given again that of B; given once, that of both."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
) -> None:
    """Compare two sides of results; say whether B may become the default."""
    import shlex
    import sys

    import flawmap
    from flawmap.cli.console import show_comparison

    if len(results) > 2:
        raise UsageError(f"Give A and B, not {len(results)}: a pattern of files goes in quotes.")
    found = flawmap.compare(
        *results,
        variants=variant or (),
        json_file=json,
        command=shlex.join(["flawmap", *sys.argv[1:]]),
    )
    show_comparison(found)
    if json is not None:
        typer.echo(f"Wrote {json}", err=True)


@bench.command("latency")
def measure_latency(
    run: Run,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES", help="Images, or folders of them.")
    ],
    json: Annotated[Path | None, typer.Option(help="Write all figures to this file.")] = None,
    backend: Annotated[
        str, typer.Option(help="onnxruntime, openvino, auto, or torch: the network as trained.")
    ] = "auto",
    precision: PrecisionName = "float32",
    int8: Annotated[bool, typer.Option("--int8", help="Short for --precision int8.")] = False,
    device: Device = "cpu",
    threads: Threads = None,
    batch: Annotated[int, typer.Option(min=1, help="Images that go through at once.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Images to time, after a warm-up.")] = 500,
) -> None:
    """Time an inspector, from an image's bytes to its verdict."""
    import shlex
    import sys

    import flawmap
    from flawmap.benchmark.latency import render_latencies

    if int8 and precision not in ("float32", "int8"):
        raise UsageError(f"--int8 and --precision {precision} exclude each other.")
    found = flawmap.latency(
        run,
        images,
        backend=backend,
        precision="int8" if int8 else precision,
        device=device,
        threads=threads,
        batch=batch,
        count=count,
        json_file=json,
        command=shlex.join(["flawmap", *sys.argv[1:]]),
        say=lambda text: typer.echo(text, err=True),
    )
    typer.echo(render_latencies([found]), nl=False)
    if json is not None:
        typer.echo(f"Wrote {json}", err=True)
