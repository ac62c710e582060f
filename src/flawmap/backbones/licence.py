"""What to know about the licence of a backbone's weights before they go into a product."""

from __future__ import annotations

from flawmap.backbones.base import UNKNOWN_LICENCE

_FREE = ("apache-", "mit", "bsd-", "cc-by-4.0", UNKNOWN_LICENCE)
_NOT_COMMERCIAL = ("-nc-", "noncommercial", "amlr")  # amlr: Apple's, for research


def licence_notice(name: str, licence: str) -> str | None:
    """Return a sentence on weights that may not be used as one likes; None for all others.

    >>> licence_notice("timm:resnet18", "apache-2.0")
    >>> licence_notice("timm:x", "cc-by-nc-4.0")
    'The weights of timm:x are licensed under cc-by-nc-4.0: not for commercial use.'
    """
    known = licence.lower()
    if any(word in known for word in _NOT_COMMERCIAL):
        return f"The weights of {name} are licensed under {licence}: not for commercial use."
    if known.startswith(_FREE):
        return None
    return (
        f"The weights of {name} have terms of their own ({licence}), which go for models trained "
        "with them, too: read them before you use one."
    )
