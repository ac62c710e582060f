"""Limits on what an export may change, and the message if it exceeds them."""

from __future__ import annotations

from flawmap.inspection.bundle.manifest import Export

FLOAT_LIMIT = 1e-4  # largest difference of map and score in float32
AP_LIMIT = 0.01  # loss of pixel AP on synthetic anomalies
FLIP_LIMIT = 0.01  # share of all verdicts
P_VALUE_LIMIT = 0.02  # mean change of good images' p-values


def float_within_limits(map_difference: float, score_difference: float) -> bool:
    """Whether the largest differences of map and score in float32 are within the limit."""
    return map_difference <= FLOAT_LIMIT and score_difference <= FLOAT_LIMIT


def int8_within_limits(export: Export) -> bool:
    """Whether a quantised export with thresholds of its own is within all three limits."""
    assert export.calibration is not None
    good = len(export.calibration.scores)
    before, after = export.pixel_ap or (0.0, 0.0)
    neighbours = 2.0 / good**2  # with few images, two adjacent ranks may swap
    return (
        before - after <= AP_LIMIT
        and export.flips <= FLIP_LIMIT * export.images
        and export.p_value_mean <= max(P_VALUE_LIMIT, neighbours) + 1e-9
    )


def describe_changes(export: Export) -> str:
    """Describe the measured changes and their limits in one clause, without a full stop."""
    if export.precision == "float32":
        difference = max(export.map_max, export.score_max)
        return f"The exported model differs by {difference:.2g}, more than {FLOAT_LIMIT:g}"
    before, after = export.pixel_ap or (0.0, 0.0)
    return (
        f"INT8 loses {before - after:.3f} of pixel AP on synthetic anomalies (limit {AP_LIMIT:g}), "
        f"changes {export.flips} of {export.images} verdicts (limit {FLIP_LIMIT:.0%}) and moves "
        f"good images' p-values by {export.p_value_mean:.3f} (limit {P_VALUE_LIMIT:g})"
    )
