"""The pages in the navigation: one entry each."""

from __future__ import annotations

from typing import NamedTuple

from flawmap.station.security.roles import Role


class Page(NamedTuple):
    """A page in the navigation, for people of at least `role`.

    Its icon is the symbol of the path's name in `static/icons.svg`, where that has one.
    """

    path: str
    title: str
    role: Role = "operator"

    @property
    def icon(self) -> str:
        """Name of the symbol in `static/icons.svg`."""
        name = self.path.strip("/").split("/")[0] or "live"
        return name if name in ICONS else "other"


_LINE = ("live", "parts", "review", "trends", "thresholds", "products", "links", "sources")
ICONS = frozenset([*_LINE, "storage", "people", "audit"])
PAGES = (
    Page("/", "Live"),
    Page("/parts", "Parts"),
    Page("/review", "Review"),
    Page("/trends", "Trends"),
    Page("/thresholds", "Thresholds"),
    Page("/storage", "Storage", "engineer"),
    Page("/links", "Links", "engineer"),
    Page("/products", "Products", "engineer"),
    Page("/people", "People", "administrator"),
    Page("/audit", "Audit", "administrator"),
)
