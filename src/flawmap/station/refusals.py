"""RefusedError: the station understood a request and does not do it; and how it says so."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from flawmap.errors import FlawmapError


class RefusedError(FlawmapError):
    """Why something is not done, in a sentence for the person or program that asked for it."""

    def __init__(self, detail: str, status: int = 422) -> None:
        super().__init__(detail)
        self.detail, self.status = detail, status


class Problem(BaseModel):
    """Answer of the API to a request that it does not carry out."""

    detail: str = Field(description="what was wrong, and what to do")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "The request was refused: `detail` says why."},
    "5XX": {"model": Problem, "description": "The station is busy, or has made a mistake."},
}
"""Answers that every route may give, for the OpenAPI document."""
