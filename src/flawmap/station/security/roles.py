"""Roles of people and scopes of keys: each role may do what the ones before it may."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["operator", "engineer", "administrator"]
"""Operators look and review, engineers change thresholds and models, administrators users."""
ROLES: tuple[Role, ...] = get_args(Role)
Scope = Literal["inspect", "read", "manage"]
"""What a key may do: send images, look at parts and trends, be an engineer.

None lets a key decide on parts: decisions are those of people, whose agreement is measured.
"""
SCOPES: tuple[Scope, ...] = get_args(Scope)
SCOPE_NOTES: dict[Scope, str] = {
    "inspect": "send images and get their verdicts",
    "read": "look at parts, trends and products",
    "manage": "change thresholds, models, products and links, as engineers do",
}


def includes(role: str, needed: Role) -> bool:
    """Whether someone with `role` may do what `needed` may.

    >>> includes("engineer", "operator"), includes("operator", "engineer")
    (True, False)
    """
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)
