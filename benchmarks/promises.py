"""Promised and observed false-reject rates over random splits.

``python benchmarks/promises.py RUN=DATA ...`` writes ``benchmarks/results/promises.json``. Every
good image of DATA that the inspector in RUN was not trained on is scored once; then, 200 times, a
random half of the scores calibrates and the other half is tested. On average the rejected share
must not exceed the promise, and in 95 of 100 splits it must not exceed the bound stated with 95 %
confidence: the quantile of the beta-binomial for as many parts as are tested.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from record import write_result

import flawmap
from flawmap.calibration.calibrate import good_paths
from flawmap.inspection.conformal import conformal_threshold, rejection_bound
from flawmap.utils.files import digest

RATES = (0.01, 0.05)
SPLITS = 200


def good_scores(run: Path, data: Path) -> list[float]:
    """Return the scores of good images not trained on, each file once."""
    inspector = flawmap.Inspector.load(run)
    used = set(inspector.manifest.training.trained_on)
    scores = []
    for path in good_paths([data]):
        sha256 = digest(path)
        if sha256 not in used:
            used.add(sha256)
            scores.append(inspector.inspect(path).score)
    return scores


def observe(scores: list[float], rate: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return promised and observed rates over the splits."""
    count = len(scores) // 2
    future = len(scores) - count
    observed, within = [], 0
    for _ in range(SPLITS):
        order = rng.permutation(len(scores))
        first, rest = (np.asarray(scores)[part] for part in (order[:count], order[count:]))
        limit = conformal_threshold(first.tolist(), rate)
        observed.append(float((rest > limit.value).mean()))
        bound = rejection_bound(round(limit.rate * (count + 1)), count, future)
        within += observed[-1] <= bound + 1e-12
    error = float(np.std(observed) / np.sqrt(SPLITS))
    return {
        "asked": rate,
        "calibrating": count,
        "coming": future,
        "promised": limit.rate,
        "bound": bound,
        "observed_mean": float(np.mean(observed)),
        "monte_carlo_error": error,
        "mean_holds": bool(np.mean(observed) <= limit.rate + 2 * error),
        "splits_within_bound": within / SPLITS,
    }


def main() -> None:
    """Measure the given pairs."""
    pairs = [word.partition("=")[::2] for word in sys.argv[1:]]
    if not pairs:
        sys.exit(__doc__)
    rng = np.random.default_rng(0)
    results = []
    for run, data in pairs:
        manifest = flawmap.Inspector.load(run).manifest
        scores = good_scores(Path(run), Path(data))
        results.append(
            {
                "method": manifest.method,
                "teacher": manifest.teacher.name,
                "data": manifest.training.data,
                "seed": manifest.training.seed,
                "scores": scores,
                "rates": [observe(scores, rate, rng) for rate in RATES],
            }
        )
        print({k: v for k, v in results[-1].items() if k != "scores"}, flush=True)
    names = " ".join(f"{Path(run).name}={Path(data).name}" for run, data in pairs)
    write_result("promises", f"python benchmarks/promises.py {names}", splits=SPLITS, runs=results)


if __name__ == "__main__":
    main()
