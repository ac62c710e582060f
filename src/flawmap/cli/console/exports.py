"""What ``export`` prints: how far an export deviates from the original model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flawmap.cli.console.terminal import say
from flawmap.cli.console.thresholds import describe_thresholds

if TYPE_CHECKING:
    from flawmap.inspection.bundle.manifest import Export


def show_export(export: Export) -> None:
    """Print the deviation from the original model, and the guarantee of the thresholds."""
    say(describe_export(export))
    if export.calibration is not None:
        say(export.calibration.statement())
        say(describe_thresholds(export.calibration))


def describe_export(export: Export) -> str:
    """Return the deviation from the original model in one line."""
    line = (
        f"map differs by at most {export.map_max:.1e} (mean {export.map_mean:.1e}), score by "
        f"{export.score_max:.1e} (mean {export.score_mean:.1e}); {export.flips} of "
        f"{export.images} verdicts differ, p-values of good images by {export.p_value_mean:.3f}"
    )
    if export.pixel_ap is not None and export.image_auroc is not None:
        ap, auroc = export.pixel_ap, export.image_auroc
        line += (
            f"; on synthetic anomalies pixel AP {ap[0]:.4f} -> {ap[1]:.4f}, image AUROC "
            f"{auroc[0]:.4f} -> {auroc[1]:.4f}"
        )
    if export.quantised is not None:
        line += f"; quantised: {export.quantised}"
    return line + (" (FORCED past its limits)" if export.forced else "")
