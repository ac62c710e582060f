"""The page of one part: its image, heat map and defects, and all evidence of its verdict."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from flawmap.station.context import StationOf
from flawmap.station.database.tables import Part
from flawmap.station.parts.similar import similar_good_part
from flawmap.station.security.callers import Operator
from flawmap.station.web.frame.selection import chosen_product
from flawmap.station.web.parts.evidence import evidence_of, p_value_in_words
from flawmap.station.web.rendering import page

router = APIRouter()


@router.get("/parts/{part_id}", response_class=HTMLResponse)
def one_part(request: Request, station: StationOf, caller: Operator, part_id: int) -> HTMLResponse:
    """Show one part."""
    with station.database.read() as session:
        part = session.get(Part, part_id) if part_id < 2**63 else None
        if part is None:
            raise HTTPException(404, f"There is no part {part_id}. It may have been deleted.")
        product = chosen_product(request, session)
        product_id = None if product is None else product.id
        values: dict[str, Any] = {
            "part": part,
            "evidence": evidence_of(session, part),
            "similar": similar_good_part(session, station.files, part),
            "older": neighbour(session, part, product_id, newer=False),
            "newer": neighbour(session, part, product_id, newer=True),
        }
    words = None if part.p_value is None else p_value_in_words(part.p_value)
    return page(request, "parts/one.html.j2", caller, p_value=words, **values)


def neighbour(session: Session, part: Part, product_id: int | None, *, newer: bool) -> int | None:
    """Return the id of the part before or after this one in time, of one product or of all."""
    place = tuple_(Part.received_at, Part.id)
    here = (part.received_at, part.id)
    query = select(Part.id)
    if newer:
        query = query.where(place > here).order_by(Part.received_at, Part.id)
    else:
        query = query.where(place < here).order_by(Part.received_at.desc(), Part.id.desc())
    if product_id is not None:
        query = query.where(Part.product_id == product_id)
    return session.scalar(query.limit(1))
