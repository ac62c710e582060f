"""Names of the known layouts; this module imports nothing, so that the command line may use it."""

from __future__ import annotations

# Each names its module in `data/layouts/`. They are tried in this order, strictest first; the plain
# folder requires least, so it comes last.
LAYOUT_NAMES = (
    "kolektor_sdd",
    "kolektor_sdd2",
    "dagm",
    "visa",
    "real_iad",
    "mvtec_ad_2",
    "mvtec_loco",
    "mvtec",
    "folder",
)

LAYOUT_CHOICES = f"{', '.join(['auto', *LAYOUT_NAMES[:-1]])} or {LAYOUT_NAMES[-1]}"
"""What ``--layout`` accepts, for its help."""
