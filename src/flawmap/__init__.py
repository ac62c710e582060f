"""flawmap: photograph good parts; get a map of every flaw.

    >>> import flawmap
    >>> [name for name in flawmap.__all__ if name.islower()]  # doctest: +NORMALIZE_WHITESPACE
    ['bench', 'calibrate', 'compare', 'compare_with_parent', 'demo', 'distill', 'drift', 'evaluate',
     'export', 'judge', 'latency', 'predict', 'refine', 'regions', 'serve', 'train', 'watch']

Each name is one import away and loads what it needs when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flawmap.errors import FlawmapError, UsageError

if TYPE_CHECKING:
    from flawmap.benchmark.comparison import compare as compare
    from flawmap.benchmark.latency import latency as latency
    from flawmap.benchmark.run import bench as bench
    from flawmap.calibration.calibrate import calibrate as calibrate
    from flawmap.calibration.drift import drift as drift
    from flawmap.calibration.regions import regions as regions
    from flawmap.demonstration.demo import demo as demo
    from flawmap.evaluation.evaluate import evaluate as evaluate
    from flawmap.exporting.export import export as export
    from flawmap.inspection.inspector import Inspector as Inspector
    from flawmap.inspection.predict import predict as predict
    from flawmap.inspection.rejudge import judge as judge
    from flawmap.inspection.watching.watch import watch as watch
    from flawmap.station.serve import serve as serve
    from flawmap.training.config import TrainConfig as TrainConfig
    from flawmap.training.distillation.distill import distill as distill
    from flawmap.training.refining.compare import compare_with_parent as compare_with_parent
    from flawmap.training.refining.refine import refine as refine
    from flawmap.training.train import train as train

__version__ = "0.1.0"
__all__ = [
    "FlawmapError",
    "Inspector",
    "TrainConfig",
    "UsageError",
    "bench",
    "calibrate",
    "compare",
    "compare_with_parent",
    "demo",
    "distill",
    "drift",
    "evaluate",
    "export",
    "judge",
    "latency",
    "predict",
    "refine",
    "regions",
    "serve",
    "train",
    "watch",
]

_HOMES = {
    "Inspector": "flawmap.inspection.inspector",
    "TrainConfig": "flawmap.training.config",
    "bench": "flawmap.benchmark.run",
    "calibrate": "flawmap.calibration.calibrate",
    "compare": "flawmap.benchmark.comparison",
    "compare_with_parent": "flawmap.training.refining.compare",
    "demo": "flawmap.demonstration.demo",
    "distill": "flawmap.training.distillation.distill",
    "drift": "flawmap.calibration.drift",
    "evaluate": "flawmap.evaluation.evaluate",
    "export": "flawmap.exporting.export",
    "judge": "flawmap.inspection.rejudge",
    "latency": "flawmap.benchmark.latency",
    "predict": "flawmap.inspection.predict",
    "refine": "flawmap.training.refining.refine",
    "regions": "flawmap.calibration.regions",
    "serve": "flawmap.station.serve",
    "train": "flawmap.training.train",
    "watch": "flawmap.inspection.watching.watch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'flawmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
