"""``regions`` and ``judge``: set regions and defect filters, and judge stored maps again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawmap.cli.interruption import stopping_well
from flawmap.cli.options import Run


def regions(
    run: Run,
    roi: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Look here alone: a mask, white here; or JSON."),
    ] = None,
    ignore: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Do not look here: likewise.")
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Look at the whole image again.")
    ] = False,
    min_area: Annotated[
        str | None,
        typer.Option(metavar="AREA", help="Smaller regions are no defects: 30 (pixels) or 0.5mm2."),
    ] = None,
    min_peak: Annotated[
        float | None, typer.Option(help="Nor are those whose highest map value is lower.")
    ] = None,
    merge_distance: Annotated[
        float | None, typer.Option(help="Regions nearer than this many pixels are one defect.")
    ] = None,
    pixel_pitch: Annotated[
        float | None, typer.Option(metavar="MM", help="Millimetres of the part in a pixel.")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="GOOD_IMAGES",
            help="Set the thresholds of a changed region from these; from those that calibrate "
            "now if not given.",
        ),
    ] = None,
) -> None:
    """Set where the inspector looks and what counts as a defect; nothing is trained."""
    import flawmap
    from flawmap.cli.console import counting_display, show_regions

    pixels, square_mm = _area(min_area)
    with counting_display("calibrating") as show:
        found = flawmap.regions(
            run,
            roi=roi,
            ignore=ignore,
            everywhere=everywhere,
            min_area=pixels,
            min_area_mm2=square_mm,
            min_peak=min_peak,
            merge_distance=merge_distance,
            pixel_pitch=pixel_pitch,
            images=images or (),
            show=show,
            say=typer.echo,
        )
    show_regions(found)


def _area(text: str | None) -> tuple[float | None, float | None]:
    """Parse an area as (pixels, mm2); the unit not given is None."""
    if text is None:
        return None, None
    try:
        value = float(text.removesuffix("mm2"))
    except ValueError as error:
        raise typer.BadParameter(f"{text}: give an area such as 30 or 0.5mm2.") from error
    return (None, value) if text.endswith("mm2") else (value, None)


def judge(
    run: Run,
    predictions: Annotated[
        Path,
        typer.Argument(metavar="JSONL", help="What predict --out DIR --json JSONL wrote."),
    ],
    json: Annotated[
        Path | None, typer.Option(help="Write a JSON line an image to this file; - prints them.")
    ] = None,
) -> None:
    """Judge stored maps by the settings that the run has now; nothing is inspected."""
    import flawmap
    from flawmap.cli.console import PredictionDisplay

    display = PredictionDisplay(quiet=str(json) == "-")
    with stopping_well(display, json):
        flawmap.judge(run, predictions, json_file=json, show=display)
    display.close()
    if json is not None and str(json) != "-":
        typer.echo(f"Wrote {json}")
