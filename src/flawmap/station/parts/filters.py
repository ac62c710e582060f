"""What parts to find: filters that combine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flawmap.errors import UsageError

VerdictOrError = Literal["good", "review", "reject", "error"]
DecisionOrOpen = Literal["good", "reject", "unsure", "open"]


class PartFilter(BaseModel):
    """What parts to find; fields without a value find all. Moments are microseconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: int | None = Field(None, description="id of the product")
    line: str | None = Field(None, description="name of the line")
    source: str | None = Field(None, description="where parts came from, such as http")
    number: str | None = Field(None, description="part numbers that begin so")
    verdicts: tuple[VerdictOrError, ...] = Field((), description="any of these verdicts, or error")
    decisions: tuple[DecisionOrOpen, ...] = Field(
        (), description="any of these decisions of reviewers; open: none yet"
    )
    lowest_score: float | None = Field(None, description="scores from this on")
    highest_score: float | None = Field(None, description="scores up to this")
    lowest_p: float | None = Field(None, description="p-values from this on")
    highest_p: float | None = Field(None, description="p-values up to this")
    since: int | None = Field(None, description="received at this moment or later")
    until: int | None = Field(None, description="received before this moment")
    smallest_area: int | None = Field(None, description="largest defect of this area or more, px")
    largest_area: int | None = Field(None, description="largest defect of this area or less, px")
    reviewer: int | None = Field(None, description="id of a user who reviewed it")
    field: str | None = Field(None, description="NAME=VALUE of an operator-supplied field")
    model: str | None = Field(None, description="digest of the model that judged")
    settings: str | None = Field(None, description="digest of the settings that judged")
    image: str | None = Field(None, description="SHA-256 of the image's file")

    @property
    def named_field(self) -> tuple[str, str] | None:
        """Name and value of ``field``. Raises UsageError if it has no name or no ``=``."""
        if self.field is None:
            return None
        name, separator, value = self.field.partition("=")
        if not separator or not name:
            raise UsageError(f"Give a field as NAME=VALUE, not {self.field!r}.")
        return name, value
