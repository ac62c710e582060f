"""Products: created, renamed, retired, and chosen by a rule on the part number."""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from flawmap.station.database.tables import Product
from flawmap.station.database.tables.base import now
from flawmap.station.refusals import RefusedError
from flawmap.station.security import audit
from flawmap.station.security.callers import Caller

NAME, RULE = 100, 200  # characters
# A repeated group that repeats something itself: on some part numbers it would take for ever.
_INSIDE = r"(?:[^()\\]|\\.)*"
_NESTED = re.compile(rf"(?<!\\)\({_INSIDE}(?<!\\)(?:[*+]|\{{\d*,\d*\}}){_INSIDE}\)[*+{{]")


def get_product(session: Session, product_id: int) -> Product:
    """Return a product. Raises RefusedError."""
    product = session.get(Product, product_id) if 0 < product_id < 2**63 else None
    if product is None:
        raise RefusedError("There is no such product: see the list of products.", 404)
    return product


def create(session: Session, caller: Caller | None, name: str, rule: str | None = None) -> Product:
    """Create a product without an inspector. Raises RefusedError."""
    product = Product(name=_free(session, name), rule=_checked(rule), created_at=now())
    session.add(product)
    session.flush()
    audit.record(session, caller, "product.create", product.name, rule=product.rule)
    return product


def free_name(session: Session) -> str:
    """Return a name that no product has, for a person who has not named one."""
    taken = set(session.scalars(select(Product.name)))
    return next(name for n in range(1, 10_000) if (name := f"Product {n}") not in taken)


def rename(session: Session, caller: Caller, product_id: int, name: str) -> Product:
    """Give a product another name; its parts, models and settings stay. Raises RefusedError."""
    product = get_product(session, product_id)
    before = product.name
    if name.strip() != before:
        product.name = _free(session, name)
        audit.record(session, caller, "product.rename", product.name, before=before)
    return product


def set_rule(session: Session, caller: Caller, product_id: int, rule: str | None) -> Product:
    """Let part numbers that match a regular expression belong to a product; none: no rule."""
    product = get_product(session, product_id)
    before, product.rule = product.rule, _checked(rule)
    audit.record(session, caller, "product.rule", product.name, rule=product.rule, before=before)
    return product


def retire(session: Session, caller: Caller, product_id: int) -> Product:
    """Inspect a product no longer; nothing of it is deleted."""
    product = get_product(session, product_id)
    if product.retired_at is None:
        product.retired_at = now()
        audit.record(session, caller, "product.retire", product.name)
    return product


def bring_back(session: Session, caller: Caller, product_id: int) -> Product:
    """Inspect a retired product again."""
    product = get_product(session, product_id)
    if product.retired_at is not None:
        product.retired_at = None
        audit.record(session, caller, "product.bring_back", product.name)
    return product


def _free(session: Session, name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME or not name.isprintable():
        raise RefusedError(f"Give a name of 1 to {NAME} characters.")
    if session.scalar(select(Product.id).where(Product.name == name)) is not None:
        raise RefusedError("There is a product of this name already: choose another one.", 409)
    return name


def _checked(rule: str | None) -> str | None:
    rule = (rule or "").strip()
    if not rule:
        return None
    try:
        if len(rule) > RULE or not rule.isprintable():
            raise ValueError(f"give at most {RULE} printable characters")
        re.compile(rule)
        if _NESTED.search(rule):
            raise ValueError("it repeats a group that repeats something itself; write it without")
    except (ValueError, re.error, RecursionError, OverflowError) as error:
        raise RefusedError(f"The rule is no usable regular expression: {error}.") from error
    return rule
