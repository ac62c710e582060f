"""What all tables share: the base class, types of columns, and the clock."""

from __future__ import annotations

import time
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Integer, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Id = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]
"""Primary key, numbered by the database."""
Moment = Annotated[int, mapped_column(BigInteger)]
"""Microseconds since 1970 in UTC: the same in every database, and fast to compare."""
JsonObject = Annotated[dict[str, Any], mapped_column(JSON().with_variant(JSONB, "postgresql"))]


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=_NAMES)


def now() -> int:
    """Return the present moment in microseconds since 1970, UTC."""
    return time.time_ns() // 1000
