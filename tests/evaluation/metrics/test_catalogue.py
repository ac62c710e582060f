import numpy as np
import pytest

from flawmap.evaluation.metrics import Evaluator
from flawmap.evaluation.metrics.catalogue import (
    LEVELS,
    METRICS,
    Metric,
    compared_metrics,
    table_metrics,
)

from .reference import evaluate, nasty_sets


def keys(metrics):
    return [metric.key for metric in metrics]


def test_the_order_is_that_of_the_files_and_tables():
    assert list(METRICS) == [
        "image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max",
        "pro", "iap", "iap90",
    ]  # fmt: skip
    assert keys(table_metrics()) == [key for key in METRICS if not key.endswith("f1max")]
    assert keys(compared_metrics()) == [key for key in keys(table_metrics()) if key != "image_ap"]


@pytest.mark.parametrize("key", METRICS)
def test_every_entry_is_complete(key):
    metric = METRICS[key]
    assert metric.key == key
    assert metric.level in LEVELS
    assert metric.explanation.endswith(".")
    assert (metric.error_bound is None) == (metric.level == "image")


def test_lower_is_better_has_an_arrow():
    metric = Metric("x", "pixel error", "wrong pixels", "pixel", float, higher_is_better=False)
    assert (metric.head, metric.title) == ("pixel error ↓", "Pixel error ↓")
    assert METRICS["pro"].head == "PRO"


@pytest.fixture
def unbounded(monkeypatch):
    def recall(steps):
        return float(steps.true[0] / steps.positives)

    monkeypatch.setitem(METRICS, "recall", Metric("recall", "recall", "x", "pixel", recall))


@pytest.mark.usefixtures("unbounded")
def test_a_metric_without_error_bound_is_named_once_bits_are_dropped():
    images = nasty_sets()["random"]
    exact, coarse = (evaluate(Evaluator, images, max_keys=n).compute() for n in (3_000_000, 50))
    assert exact.pixel_error_bound["recall"] == 0
    assert "recall" not in coarse.pixel_error_bound
    assert coarse.notes["pixel_error_bound"].endswith("; no bound is known for recall")
    assert 0 < coarse["recall"] <= 1
    assert np.isfinite(coarse["pro"])
