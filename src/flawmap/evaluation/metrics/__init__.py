"""Figures of a test set: anomaly maps and masks in, AUROC, AP, F1, PRO and IAP out."""

from flawmap.evaluation.metrics.evaluator import Evaluator
from flawmap.evaluation.metrics.figures import Figures
from flawmap.evaluation.metrics.iap import instance_average_precision

__all__ = ["Evaluator", "Figures", "instance_average_precision"]
