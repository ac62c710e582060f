"""flawmap: photograph good parts; get a map of every flaw.

    >>> import flawmap
    >>> " ".join(name for name in flawmap.__all__ if name.islower())
    'bench calibrate compare demo drift evaluate export judge latency predict regions train watch'

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
    from flawmap.conversion.export import export as export
    from flawmap.inspector.calibrating import calibrate as calibrate
    from flawmap.inspector.drift import drift as drift
    from flawmap.inspector.evaluate import evaluate as evaluate
    from flawmap.inspector.inspector import Inspector as Inspector
    from flawmap.inspector.judging import judge as judge
    from flawmap.inspector.predict import predict as predict
    from flawmap.inspector.regions import regions as regions
    from flawmap.inspector.watch import watch as watch
    from flawmap.product.demonstration import demo as demo
    from flawmap.training.run import train as train

__version__ = "0.1.0"
__all__ = [
    "FlawmapError",
    "Inspector",
    "UsageError",
    "bench",
    "calibrate",
    "compare",
    "demo",
    "drift",
    "evaluate",
    "export",
    "judge",
    "latency",
    "predict",
    "regions",
    "train",
    "watch",
]

_HOMES = {
    "Inspector": "flawmap.inspector.inspector",
    "bench": "flawmap.benchmark.run",
    "calibrate": "flawmap.inspector.calibrating",
    "compare": "flawmap.benchmark.comparison",
    "demo": "flawmap.product.demonstration",
    "drift": "flawmap.inspector.drift",
    "evaluate": "flawmap.inspector.evaluate",
    "export": "flawmap.conversion.export",
    "judge": "flawmap.inspector.judging",
    "latency": "flawmap.benchmark.latency",
    "predict": "flawmap.inspector.predict",
    "regions": "flawmap.inspector.regions",
    "train": "flawmap.training.run",
    "watch": "flawmap.inspector.watch",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'flawmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
