"""``bench``: run grids of trainings, compare two sets of results, and measure latency."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, get_args

import click

from flawmap.cli.options import (
    PATH,
    device_option,
    json_option,
    need_torch,
    precision_option,
    run_argument,
    threads_option,
)
from flawmap.errors import UsageError
from flawmap.types import RotationChoice

_DEFAULT = "grid"


class _GridUnlessNamed(click.Group):
    """Command group that reads ``flawmap bench GRID.yaml`` as ``flawmap bench grid GRID.yaml``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_GridUnlessNamed)
def bench() -> None:
    """Run grids of trainings, compare results, measure latency."""


@bench.command(_DEFAULT)
@click.argument(
    "grid",
    required=False,
    type=PATH,
    metavar="[GRID.yaml]",
    help="File whose keys are the options below; or the word ablation.",
)
@click.option("--data", type=PATH, help="Folder of categories.")
@click.option(
    "--category",
    multiple=True,
    help="Folder in --data; may be repeated, as may the next four options. Default: all.",
)
@click.option("--method", multiple=True, help="destseg, adps or stpm. Default: destseg.")
@click.option("--preset", multiple=True, help="fast, paper or best. Default: fast.")
@click.option("--teacher", multiple=True, help="As for train. Default: pocket.")
@click.option("--seed", type=int, multiple=True, help="As for train. Default: 0.")
@click.option("--textures", type=PATH, help="As for train.")
@click.option("--rotate", type=click.Choice(get_args(RotationChoice)), help="As for train.")
@click.option("--size", metavar="HxW", help="As for train.")
@click.option("--steps", type=int, help="As for train.")
@click.option("--batch-size", type=int, help="As for train.")
@click.option("--device", help="As for train.")
@click.option(
    "--out", type=PATH, default=Path("bench"), help="Folder for the results, one JSON file per run."
)
@click.option("--work", type=PATH, help="Folder to train in. Default: OUT/runs.")
@click.option("--keep", is_flag=True, help="Keep the inspectors in WORK.")
@click.option(
    "--on",
    default="local",
    metavar="local|ray|ADDRESS",
    help="Where to train: local; ray, which starts a Ray cluster on this machine; or a cluster's "
    "address, such as ray://host:10001.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    help="Trainings at once with --on local, each on its share of the cores.",
)
@click.option(
    "--cores", type=click.IntRange(min=1), default=1, help="Cores of each training on a cluster."
)
@click.option("--table", is_flag=True, help="Only print the results in OUT as Markdown.")
def measure_grid(
    grid: Path | None,
    out: Path,
    work: Path | None,
    keep: bool,
    on: str,
    workers: int,
    cores: int,
    table: bool,
    **options: Any,
) -> None:
    """Train and evaluate every run of a grid, and print the table."""
    import flawmap
    from flawmap.benchmark.grid import check_grid
    from flawmap.benchmark.table import read_results, render

    if not table:
        need_torch()
        given = {key: value for key, value in options.items() if value not in (None, ())}
        cells = check_grid(_grid_values(grid, given), "The grid")
        flawmap.bench(
            cells, out, work=work, keep=keep, on=on, workers=workers, cores=cores, say=_say
        )
    click.echo(render(read_results(out)), nl=False)


def _grid_values(grid: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Return the grid of a file or an ablation, with the options given applied."""
    from flawmap.benchmark.ablation import find_ablation
    from flawmap.benchmark.grid import Options, read_grid

    if grid is not None and str(grid) == "ablation":
        variants = find_ablation(_only(given.get("method", ())))
        base: dict[str, Any] = {"preset": "paper", "variant": variants}
    else:
        base = read_grid(grid).model_dump(exclude_defaults=True) if grid else {}
    if not {"data", "products"} & (base | given).keys():
        raise UsageError("Nothing to measure: give a GRID.yaml, or --data.")
    for product in base.get("products", ()):  # options override the file's product options, too
        product.update({key: given[key] for key in given.keys() & Options.model_fields.keys()})
    return base | given


def _only(methods: tuple[str, ...]) -> str:
    """Return the single method of an ablation, ``destseg`` by default."""
    if len(methods) > 1:
        raise UsageError("An ablation is of one method: give --method once.")
    return methods[0] if methods else "destseg"


@bench.command("compare")
@click.argument(
    "results",
    nargs=-1,
    required=True,
    metavar="A [B]",
    help="Folders of results, or patterns of files in quotes. B is A with two variants.",
)
@click.option(
    "--variant",
    multiple=True,
    help="Variant of A, given again for B; given once, that of both.",
)
@json_option("Write all metrics to this file.")
def compare_results(
    results: tuple[str, ...], variant: tuple[str, ...], json_file: Path | None
) -> None:
    """Compare two sets of results; say if B may become the default."""
    import flawmap
    from flawmap.cli.console.comparison import show_comparison

    if len(results) > 2:
        raise UsageError(f"Give A and B, not {len(results)}: a pattern of files goes in quotes.")
    comparison = flawmap.compare(
        *results, variants=variant, json_file=json_file, command=_command()
    )
    show_comparison(comparison)
    if json_file is not None:
        _say(f"Wrote {json_file}")


@bench.command("latency")
@run_argument
@click.argument("images", nargs=-1, required=True, type=PATH, help="Images, or folders of them.")
@json_option("Write all measurements to this file.")
@click.option(
    "--backend",
    default="auto",
    help="onnxruntime, openvino, auto, or torch: the network as trained.",
)
@precision_option
@click.option("--int8", is_flag=True, help="Short for --precision int8.")
@device_option
@threads_option
@click.option("--batch", type=click.IntRange(min=1), default=1, help="Images per inference.")
@click.option(
    "--count", type=click.IntRange(min=1), default=500, help="Images to time, after a warm-up."
)
def measure_latency(
    run: Path,
    images: tuple[Path, ...],
    json_file: Path | None,
    backend: str,
    precision: str,
    int8: bool,
    device: str,
    threads: int | None,
    batch: int,
    count: int,
) -> None:
    """Measure the latency of an inspector, from bytes to verdict."""
    import flawmap
    from flawmap.benchmark.latency import render_latencies

    if int8 and precision not in ("float32", "int8"):
        raise UsageError(f"--int8 and --precision {precision} exclude each other.")
    result = flawmap.latency(
        run,
        images,
        backend=backend,
        precision="int8" if int8 else precision,
        device=device,
        threads=threads,
        batch=batch,
        count=count,
        json_file=json_file,
        command=_command(),
        say=_say,
    )
    click.echo(render_latencies([result]), nl=False)
    if json_file is not None:
        _say(f"Wrote {json_file}")


def _command() -> str:
    """Return the command line that is running, for the record."""
    return shlex.join(["flawmap", *sys.argv[1:]])


def _say(text: str) -> None:
    click.echo(text, err=True)
