"""The level of rejection that a product's settings set, as p-value and as score."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import SettingsVersion

_USUAL_LEVEL = 0.01  # p-value from which parts are rejected, where no settings are stored
_REJECT = ("calibration", "reject")


def reject_level(session: Session, product_id: int) -> float:
    """Return the p-value up to which the product's present settings reject parts."""
    level = _newest(session, product_id, "rate")
    return level if level is not None and 0.0 < level < 1.0 else _USUAL_LEVEL


def reject_threshold(session: Session, product_id: int) -> float | None:
    """Return the score above which the present settings reject parts; None if none are stored."""
    return _newest(session, product_id, "value")


def _newest(session: Session, product_id: int, name: str) -> float | None:
    value = SettingsVersion.values[(*_REJECT, name)].as_float()
    query = (
        select(value)
        .where(SettingsVersion.product_id == product_id)
        .order_by(SettingsVersion.number.desc())
    )
    return session.scalar(query.limit(1))
