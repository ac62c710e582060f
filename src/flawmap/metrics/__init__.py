"""Figures of a test set: anomaly maps and masks in, AUROC, AP, F1, PRO and IAP out."""

from .evaluator import Evaluator
from .figures import Figures
from .iap import instance_average_precision

__all__ = ["Evaluator", "Figures", "instance_average_precision"]
