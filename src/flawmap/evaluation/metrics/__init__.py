"""Metrics of a test set: AUROC, AP, F1, PRO and IAP from anomaly maps and masks."""

from flawmap.evaluation.metrics.evaluator import Evaluator
from flawmap.evaluation.metrics.instances import instance_average_precision
from flawmap.evaluation.metrics.result import Metrics

__all__ = ["Evaluator", "Metrics", "instance_average_precision"]
