"""What a page on trends or thresholds is about: a product, a line, and a range of time."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import HTTPException, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.errors import UsageError
from flawmap.station.database.tables import HourCount, Product
from flawmap.station.insight.ranges import NAMES, SPANS, Period, period
from flawmap.station.web.frame.selection import all_products, chosen_product


@dataclass(frozen=True)
class Scope:
    """One product's parts of a range; `line` is none for all lines."""

    product: Product
    lines: list[str]
    line: str | None
    period: Period

    @property
    def spans(self) -> list[tuple[str, str, str]]:
        """Links to other ranges: name, word and address, which keeps line and product."""
        kept = {"product": self.product.name} | ({"line": self.line} if self.line else {})
        return [(one, NAMES[one], "?" + urlencode(kept | {"span": one})) for one in SPANS]


def scope_of(request: Request, session: Session, span: str) -> Scope | None:
    """Return what the address asks for; None while no product is chosen among several, or exists.

    Answers 400 to a range that is none.
    """
    product = chosen_product(request, session)
    if product is None:
        products = all_products(session)
        if len(products) != 1:
            return None
        product = products[0]
    asked = request.query_params
    try:
        chosen = period(asked.get("span") or span, asked.get("from", ""), asked.get("to", ""))
    except UsageError as error:
        raise HTTPException(400, str(error)) from error
    return Scope(product, lines_of(session, product.id), asked.get("line") or None, chosen)


def lines_of(session: Session, product_id: int) -> list[str]:
    """Return the lines that a product's parts came from."""
    query = select(HourCount.line).where(HourCount.product_id == product_id).distinct()
    return sorted(line for line in session.scalars(query) if line)
