"""Whether the station would inspect an image now."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from flawmap.station.context import Station
from flawmap.station.intake.products import UNTRAINED
from flawmap.station.intake.service import intake_of


def problems(station: Station) -> list[str]:
    """Return why the station is not ready, in sentences without names; empty if it is."""
    found = []
    try:
        with station.database.read() as session:
            session.execute(select(1))
    except SQLAlchemyError:
        found.append("The database does not answer.")
    broken = sum(
        product.problem not in (None, UNTRAINED) for product in intake_of(station).products
    )
    if broken:
        found.append(f"The inspectors of {broken} products are not loaded.")
    if not station.started:
        found.append("The station is starting or stopping.")
    return found
