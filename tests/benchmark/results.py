"""Result files of ``bench`` that nobody measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FLAT = {"image_auroc": 0.9, "pixel_auroc": 0.95, "pixel_ap": 0.5, "pro": 0.8, "iap": 0.4,
        "iap90": 0.1}  # fmt: skip


def result(category: str = "screw", seed: int = 0, **changes: Any) -> dict[str, Any]:
    """The object of a result file; figures among ``changes`` are its figures."""
    counts = {"images": 160, "instances": 135}
    figures = {k: changes.pop(k) for k in [*FLAT, *counts] if k in changes}
    return {
        "method": "destseg", "preset": "fast", "variant": "", "teacher": "pocket",
        "dataset": "mvtec", "category": category, "seed": seed, "device": "cpu", "commit": "abc",
        "hardware": {"processor": "EPYC", "cores": 1},
        "figures": FLAT | counts | figures, "seconds": {"train": 90.0}, "milliseconds": 40.0,
        "training": {"fingerprint": "f1cfcf15b6cfcbed"}, "configuration": {"size": [256, 256]},
    } | changes  # fmt: skip


def write_results(folder: Path, *results: dict[str, Any]) -> Path:
    """A folder of result files."""
    folder.mkdir(exist_ok=True)
    for one in results:
        name = f"{one['dataset']}-{one['category']}-{one['variant']}-{one['seed']}.json"
        (folder / name).write_text(json.dumps(one))
    return folder
