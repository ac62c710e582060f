"""The pages in the navigation: one entry each."""

from __future__ import annotations

from typing import NamedTuple

from flawmap.station.security.roles import Role


class Page(NamedTuple):
    """A page in the navigation, for people of at least `role`."""

    path: str
    title: str
    role: Role = "operator"


PAGES = (Page("/", "Live"),)
