"""The product that a person has chosen in the header: by the address, else by a cookie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote, unquote, urlencode

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from flawmap.station.database.tables import Product

COOKIE, PARAMETER = "flawmap_product", "product"
_YEAR = 365 * 24 * 3600


def all_products(session: Session) -> Sequence[Product]:
    """Return the products in use, by name."""
    query = select(Product).where(Product.retired_at.is_(None)).order_by(Product.name)
    return session.scalars(query).all()


def chosen_product(request: Request, session: Session) -> Product | None:
    """Return the product that the person looks at; None for all of them.

    `?product=NAME` of the address counts before the choice made on an earlier page, and
    `?product=` stands for all products.
    """
    name = chosen_name(request)
    return session.scalar(select(Product).where(Product.name == name)) if name else None


def chosen_name(request: Request) -> str:
    """Return the chosen product's name as the browser gave it, "" for none; it may not exist."""
    name = request.query_params.get(PARAMETER)
    return unquote(request.cookies.get(COOKIE, "")) if name is None else name


def remember_choice(request: Request, response: Response) -> None:
    """Keep a choice made in the address for the next pages."""
    name = request.query_params.get(PARAMETER)
    if name is not None and name != unquote(request.cookies.get(COOKIE, "")):
        same_site: Literal["lax"] = "lax"
        response.set_cookie(COOKIE, quote(name[:100]), max_age=_YEAR, samesite=same_site)


def address_with(request: Request, name: str) -> str:
    """Return the present address with another product; what depends on the old one is left out."""
    kept = [
        (key, value)
        for key, value in request.query_params.multi_items()
        if key not in (PARAMETER, "after", "before", "page")
    ]
    return "?" + urlencode([*kept, (PARAMETER, name)])
