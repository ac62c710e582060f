"""Ids in paths: numbers of rows that every database can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

RowId = Annotated[int, Path(ge=1, le=2**63 - 1, description="id of the row")]
