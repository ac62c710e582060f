"""The HTML report of an evaluation, written for quality engineers."""

from flawmap.evaluation.report.data import ImageRow, Panel, ReportData
from flawmap.evaluation.report.outcome import most_wrong_first
from flawmap.evaluation.report.page import render_report, write_report

__all__ = ["ImageRow", "Panel", "ReportData", "most_wrong_first", "render_report", "write_report"]
