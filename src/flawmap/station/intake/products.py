"""Products with their live inspectors, and which product an image belongs to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from flawmap.errors import FlawmapError
from flawmap.inspection.inspector import Inspector
from flawmap.inspection.settings import LiveInspector
from flawmap.runtime.base import RuntimeOptions
from flawmap.station.database.engine import Database
from flawmap.station.database.tables import Model, Product
from flawmap.station.intake.submission import Submission, UnknownProductError
from flawmap.utils.memory import return_freed_memory

UNTRAINED = "train one."
"""Problem of a product that has no model yet."""


@dataclass(eq=False)
class LiveProduct:
    """A product and the inspector that judges its parts; `problem`: why it has none.

    There is one object for each product: lines and workers hold it. Once it has an inspector it
    always has one, so that each accepted image gets a record.
    """

    id: int
    name: str
    rule: str | None = None
    folder: str | None = None
    live: LiveInspector | None = field(default=None, repr=False)
    problem: str | None = None

    @property
    def inspector(self) -> Inspector:
        """The inspector with the settings of now. Raises UnknownProductError if there is none."""
        if self.live is None:
            raise UnknownProductError(f"The product {self.name} has no inspector: {self.problem}")
        return self.live.now

    def matches(self, number: str) -> bool:
        """Whether the rule, if there is one, matches the whole part number."""
        return self.rule is not None and re.fullmatch(self.rule, number) is not None


class Products:
    """All products that are not retired, with inspectors loaded from their models' folders."""

    def __init__(
        self, database: Database, runtime: RuntimeOptions, say: Callable[[str], None]
    ) -> None:
        self._database, self._runtime, self._say = database, runtime, say
        self._loading = threading.Lock()
        self._made: dict[int, LiveProduct] = {}  # also retired ones, which may be brought back
        self._known: dict[int, LiveProduct] = {}

    def __iter__(self) -> Iterator[LiveProduct]:
        return iter(list(self._known.values()))

    def reload(self) -> None:
        """Read the products again; load inspectors of new models.

        A product goes on with its inspector until another one is loaded. A retired product keeps
        its inspector for images that were accepted before.
        """
        with self._loading:
            rows = self._rows()
            for product, folder in rows:
                known = self._made.setdefault(product.id, LiveProduct(product.id, product.name))
                self._load(known, folder)
                known.name, known.rule = product.name, product.rule
                self._known[product.id] = known
            kept = {product.id for product, _ in rows}
            self._known = {key: one for key, one in self._known.items() if key in kept}

    def _rows(self) -> list[tuple[Product, str | None]]:
        joined = select(Product, Model.folder).outerjoin(Model, Product.model_id == Model.id)
        current = joined.where(Product.retired_at.is_(None)).order_by(Product.id)
        with self._database.read() as session:
            return [(product, folder) for product, folder in session.execute(current)]

    def _load(self, product: LiveProduct, folder: str | None) -> None:
        if folder is None:
            product.problem = UNTRAINED
            return
        if folder == product.folder:
            product.problem = None
            return
        try:
            product.live = LiveInspector(Path(folder), self._runtime, self._say)
        except FlawmapError as error:
            product.problem = str(error)
            self._say(f"The product {product.name} cannot be inspected: {error}")
            return
        product.folder, product.problem = folder, None
        return_freed_memory()

    def find(self, name: str) -> LiveProduct:
        """Return the product of this name. Raises UnknownProductError."""
        for one in self._known.values():
            if one.name == name:
                return one
        raise UnknownProductError(f"There is no product {name[:100]!r}. {self._names()}")

    def of(self, submission: Submission) -> LiveProduct:
        """Return the product that an image belongs to: named, by rule, or the only one.

        Raises UnknownProductError, whose message lists the products.
        """
        wanted, number = submission.product, submission.number
        if isinstance(wanted, str):
            return self.find(wanted)
        if isinstance(wanted, int):
            if wanted not in self._known:
                raise UnknownProductError(f"There is no product {wanted}. {self._names()}")
            return self._known[wanted]
        known = list(self._known.values())
        if number is not None and (matching := [one for one in known if one.matches(number)]):
            if len(matching) == 1:
                return matching[0]
            names = ", ".join(one.name for one in matching)
            raise UnknownProductError(f"The part number belongs to several products: {names}.")
        if len(known) == 1:
            return known[0]
        raise UnknownProductError(f"Name a product. {self._names()}")

    def _names(self) -> str:
        names = ", ".join(one.name for one in self._known.values())
        return f"Products: {names}." if names else "There is no product yet: train one."
