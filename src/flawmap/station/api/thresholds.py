"""API of thresholds and filters: try them on stored parts, apply them, and go back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import FlawmapError, UsageError
from flawmap.inspection.bundle.manifest import GRAPH, Manifest, read_manifest
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Product, SettingsVersion, User
from flawmap.station.insight.thresholds.apply import (
    Change,
    ChangedMeanwhileError,
    apply,
    folder_of,
    roll_back,
)
from flawmap.station.insight.thresholds.proposal import Proposal
from flawmap.station.insight.thresholds.question import Question, WhatIfAnswer, answer
from flawmap.station.insight.versions import (
    differences,
    latest_version,
    note,
    settings_of,
    versions_of,
)
from flawmap.station.security.callers import Managing, Reading

router = APIRouter(prefix="/api/v1/products/{product_id}", tags=["thresholds"])
_READING = 0.25  # seconds in which one request reads maps
_SHOWN = 100  # versions


class Version(BaseModel):
    """One version of a product's settings."""

    number: int
    settings: str = Field(description="what records call these settings")
    created_at: int = Field(description="microseconds since 1970, UTC")
    user: str | None = Field(
        description="who made it, or made the key that did; none: not made on this station"
    )
    comment: str | None
    by_hand: bool = Field(description="a threshold was set by hand: nothing is guaranteed")
    statement: str
    restorable: bool = Field(description="it belongs to the present model")
    changes: list[dict[str, str]] = Field(description="from the version before")


class Applied(BaseModel):
    """The version that is in force now."""

    number: int


class Apply(BaseModel):
    """Settings to apply, and the version that the person saw when they chose them."""

    model_config = ConfigDict(extra="forbid")

    seen: int
    proposal: Proposal
    comment: str = Field("", max_length=1000)


class RollBack(BaseModel):
    """Version to apply again, and the version that the person saw when they chose it."""

    model_config = ConfigDict(extra="forbid")

    seen: int
    number: int
    comment: str = Field("", max_length=1000)


@router.get("/what-if")
def what_if_settings(
    station: StationOf,
    _caller: Reading,
    product_id: int,
    question: Annotated[Question, Query()],
    maps: Annotated[bool, Query(description="read maps where they decide, for a moment")] = False,
) -> WhatIfAnswer:
    """Say which verdicts stored parts would get with other settings. Nothing is changed."""
    with station.database.read() as session:
        product = product_of(session, product_id)
        try:
            return answer(station, session, product, question, _READING if maps else 0.0)
        except FlawmapError as error:
            raise refusal(error) from error


@router.get("/settings")
def settings_versions(station: StationOf, _caller: Reading, product_id: int) -> list[Version]:
    """List the newest versions of a product's settings, the newest first."""
    current_version(station, product_id)
    with station.database.read() as session:
        return shown_versions(session, product_of(session, product_id))


@router.post("/settings", status_code=201)
def apply_settings(station: StationOf, caller: Managing, product_id: int, wanted: Apply) -> Applied:
    """Apply other thresholds and filters; the inspector takes them over at once."""
    change = Change(product_id, wanted.seen, caller, wanted.comment.strip())
    with station.database.read() as session:
        product_of(session, product_id)
    try:
        return Applied(number=apply(station, change, wanted.proposal).number)
    except FlawmapError as error:
        raise refusal(error) from error


@router.post("/settings/roll-back", status_code=201)
def roll_back_settings(
    station: StationOf, caller: Managing, product_id: int, wanted: RollBack
) -> Applied:
    """Apply the settings of an earlier version again, as a new version."""
    change = Change(product_id, wanted.seen, caller, wanted.comment.strip())
    with station.database.read() as session:
        product_of(session, product_id)
    try:
        return Applied(number=roll_back(station, change, wanted.number).number)
    except FlawmapError as error:
        raise refusal(error) from error


def product_of(session: Session, product_id: int) -> Product:
    """Return a product; answer 404 if there is none."""
    product = session.get(Product, product_id) if product_id < 2**63 else None
    if product is None:
        raise HTTPException(404, f"There is no product {product_id}.")
    return product


def refusal(error: FlawmapError) -> HTTPException:
    """Return the answer for an error: 409 if somebody was faster, 422 for wrong values."""
    if isinstance(error, ChangedMeanwhileError):
        return HTTPException(409, str(error))
    return HTTPException(422 if isinstance(error, UsageError) else 409, str(error))


def current_version(station: Station, product_id: int) -> tuple[Manifest, int]:
    """Return the manifest in force and its version's number; note one that was not known yet.

    Answers 404 without the product, 409 if it has no inspector or its run cannot be read.
    """
    with station.database.read() as session:
        product = product_of(session, product_id)
        try:
            manifest = read_manifest(folder_of(session, product))
        except FlawmapError as error:
            raise refusal(error) from error
        latest = latest_version(session, product_id)
    if latest is not None and _is(latest, manifest):
        return manifest, latest.number
    with station.database.write() as session:
        return manifest, note(session, product_of(session, product_id), manifest).number


def _is(version: SettingsVersion, manifest: Manifest) -> bool:
    settings = settings_of(version)
    return version.model == manifest.files.get(GRAPH) and settings.is_of(manifest)


def shown_versions(session: Session, product: Product) -> list[Version]:
    """Return the newest versions with what changed in each, the newest first."""
    rows = versions_of(session, product.id, _SHOWN + 1)
    names = {id: name for id, name in session.execute(select(User.id, User.name))}  # noqa: C416
    known = [settings_of(row) for row in rows]
    model = rows[0].model if rows else ""
    shown = []
    for index, row in enumerate(rows[:_SHOWN]):
        changes: list[dict[str, Any]] = []
        if index + 1 < len(rows):
            changes = differences(known[index + 1], known[index])
        shown.append(
            Version(
                number=row.number,
                settings=row.settings,
                created_at=row.created_at,
                user=names.get(row.user_id) if row.user_id is not None else None,
                comment=row.comment,
                by_hand=known[index].by_hand,
                statement=known[index].calibration.statement(),
                restorable=index > 0 and row.model == model,
                changes=changes,
            )
        )
    return shown
