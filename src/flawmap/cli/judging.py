"""``regions`` and ``judge``: set regions and defect filters, and judge stored maps again."""

from __future__ import annotations

from pathlib import Path

import click

from flawmap.cli.interruption import stopping_well
from flawmap.cli.options import PATH, lines_option, run_argument


def _area(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[float | None, float | None]:
    """Parse an area as (pixels, mm2); the unit not given is None."""
    if text is None:
        return None, None
    try:
        value = float(text.removesuffix("mm2"))
    except ValueError as error:
        raise click.BadParameter(f"{text}: give an area such as 30 or 0.5mm2.") from error
    return (None, value) if text.endswith("mm2") else (value, None)


@click.command()
@run_argument
@click.option(
    "--roi",
    type=PATH,
    metavar="FILE",
    help="Inspect only this region: a mask image, white inside, or a JSON annotation file.",
)
@click.option(
    "--ignore", type=PATH, metavar="FILE", help="Do not inspect this region; same formats as --roi."
)
@click.option("--everywhere", is_flag=True, help="Inspect the whole image again.")
@click.option(
    "--min-area",
    metavar="AREA",
    callback=_area,
    help="Ignore defects smaller than this, such as 30 (pixels) or 0.5mm2.",
)
@click.option("--min-peak", type=float, help="Ignore defects with a peak below this map value.")
@click.option(
    "--merge-distance",
    type=float,
    metavar="PIXELS",
    help="Merge defects closer than this many pixels.",
)
@click.option(
    "--pixel-pitch", type=float, metavar="MM", help="Size of a pixel on the part in millimetres."
)
@click.option(
    "--images",
    type=PATH,
    multiple=True,
    metavar="GOOD_IMAGES",
    help="Good images to set the thresholds of a changed region from; may be repeated. Default: "
    "the images that calibrate the run now.",
)
def regions(
    run: Path,
    roi: Path | None,
    ignore: Path | None,
    everywhere: bool,
    min_area: tuple[float | None, float | None],
    min_peak: float | None,
    merge_distance: float | None,
    pixel_pitch: float | None,
    images: tuple[Path, ...],
) -> None:
    """Set the region of interest and the defect filters."""
    import flawmap
    from flawmap.cli.console.progress import counting_display
    from flawmap.cli.console.thresholds import show_regions

    pixels, square_mm = min_area
    with counting_display("calibrating") as show:
        manifest = flawmap.regions(
            run,
            roi=roi,
            ignore=ignore,
            everywhere=everywhere,
            min_area=pixels,
            min_area_mm2=square_mm,
            min_peak=min_peak,
            merge_distance=merge_distance,
            pixel_pitch=pixel_pitch,
            images=images,
            show=show,
            say=click.echo,
        )
    show_regions(manifest)


@click.command()
@run_argument
@click.argument("predictions", type=PATH, metavar="JSONL", help="File of predict --out --json.")
@lines_option
def judge(run: Path, predictions: Path, json_file: Path | None) -> None:
    """Judge stored maps again with the run's current settings."""
    import flawmap
    from flawmap.cli.console.predictions import PredictionDisplay

    display = PredictionDisplay(quiet=str(json_file) == "-")
    with stopping_well(display, json_file):
        flawmap.judge(run, predictions, json_file=json_file, show=display)
    display.close()
    if json_file is not None and str(json_file) != "-":
        click.echo(f"Wrote {json_file}")
