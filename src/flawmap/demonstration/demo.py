"""``flawmap demo``: the whole workflow on a product that the program draws."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.demonstration.drawing import describe_product, draw_dataset
from flawmap.errors import UsageError
from flawmap.evaluation.evaluate import evaluate
from flawmap.evaluation.reporting import write_evaluation_report
from flawmap.evaluation.result import Evaluation
from flawmap.inspection.bundle.manifest import MANIFEST
from flawmap.inspection.inspector import Inspector
from flawmap.utils.files import OURS, check_writable, exists, foreign, make_folder, write_json

if TYPE_CHECKING:
    from flawmap.training.steps.loop import Reporter

DEMO_STEPS = 650
_MARKER = f"{OURS}demo.json"


def demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    steps: int = DEMO_STEPS,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Draw a product, train on its good parts and evaluate; store everything in ``out``.

    ``out`` then holds ``data/`` (MVTec AD layout), ``run/`` (the inspector), ``metrics.json`` and
    ``report.html``. A stopped demo is resumed. Raises UsageError if ``out`` holds a complete demo,
    one of another seed, or anything else.
    """
    from flawmap.training.steps.loop import Reporter
    from flawmap.training.train import train

    reporter = reporter or Reporter()
    folder = Path(out)
    run = folder / "run"
    _claim(folder, seed)
    product = describe_product(seed)
    reporter.say(f"Drawing the product: {product}")
    draw_dataset(folder / "data", seed)
    resume = run.exists()  # continue a stopped demo
    train(
        folder / "data",
        run,
        teacher="pocket",
        seed=seed,
        steps=steps,
        resume=resume,
        reporter=reporter,
    )
    evaluation = evaluate(run, folder / "data", json_file=folder / "metrics.json")
    write_evaluation_report(folder / "report.html", run, Inspector.load(run), evaluation, product)
    return evaluation


def _claim(folder: Path, seed: int) -> None:
    """Mark an empty folder as this demo's; UsageError if it is foreign or complete."""
    marker = folder / _MARKER
    if exists(folder) and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder as --out.")
    if (folder / "run" / MANIFEST).exists():
        raise UsageError(f"{folder} already holds a demo: remove it, or give another --out.")
    if not marker.exists():
        if folder.exists() and foreign(folder):
            raise UsageError(
                f"{folder} is not empty and not an unfinished demo: give another --out."
            )
        check_writable(folder)
        write_json(make_folder(folder) / _MARKER, {"seed": seed})
    try:
        begun = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{marker} is damaged: give another --out.") from error
    if begun != {"seed": seed}:
        raise UsageError(f"{folder} holds a demo of another --seed: give another --out.")
