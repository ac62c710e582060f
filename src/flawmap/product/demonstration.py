"""``flawmap demo``: the whole job on a product that the program draws."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flawmap.errors import UsageError
from flawmap.files import make_folder
from flawmap.inspector.evaluate import Evaluation, evaluate
from flawmap.inspector.inspector import Inspector
from flawmap.inspector.manifest import MANIFEST, SETTINGS
from flawmap.inspector.reporting import write_evaluation_report
from flawmap.product.drawing import describe_product, draw_dataset

if TYPE_CHECKING:
    from flawmap.training.run import Reporter

DEMO_STEPS = 650


def demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    steps: int = DEMO_STEPS,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Draw a product, train on its good parts, evaluate; leaves all of it in ``out``.

    ``out`` then holds ``data/`` (MVTec AD layout), ``run/`` (the inspector), ``metrics.json`` and
    ``report.html``. Raises UsageError where ``out`` holds an earlier demo.
    """
    from flawmap.training.run import Reporter, train

    tell = reporter or Reporter()
    folder = Path(out)
    run = folder / "run"
    resume = (run / SETTINGS).exists()  # a demo that was stopped goes on
    if (run / MANIFEST).exists() or (run.exists() and not resume):
        raise UsageError(f"{folder} holds a demo already: remove it, or give another --out.")
    make_folder(folder)
    product = describe_product(seed)
    tell.say(f"Drawing the product: {product}")
    draw_dataset(folder / "data", seed)
    train(
        folder / "data", run, teacher="pocket", seed=seed, steps=steps, resume=resume, reporter=tell
    )
    found = evaluate(run, folder / "data", json_file=folder / "metrics.json")
    write_evaluation_report(folder / "report.html", run, Inspector.load(run), found, product)
    return found
