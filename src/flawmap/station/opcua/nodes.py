"""Nodes of the OPC UA server, with the names of OPC 40100-1 (Machine Vision) where it has one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flawmap.station.database.tables import Part

NAMESPACE = "https://flawmap.invalid/opcua"
_COMPLETED, _FAILED = 1, 4  # ResultState of OPC 40100-1: completed; failed
_COUNTED = ("Good", "Review", "Reject", "Error")
Value = tuple[Any, str]  # value, and the name of its type in ua.VariantType

NO_RESULT: dict[str, Value] = {
    "ResultId": ("", "String"),
    "PartId": ("", "String"),
    "ProductId": ("", "String"),
    "Line": ("", "String"),
    "CreationTime": (datetime(1970, 1, 1, tzinfo=UTC), "DateTime"),
    "IsPartial": (False, "Boolean"),
    "IsSimulated": (False, "Boolean"),
    "InternalRecipeId": ("", "String"),
    "InternalModelId": ("", "String"),
    "Verdict": ("", "String"),
    "Score": (float("nan"), "Double"),
    "Error": ("", "String"),
    "ResultContent": ("", "String"),
    "ResultState": (0, "Int32"),
    "Sequence": (0, "UInt64"),
}
"""Variables of a result, in the order in which they are written: `Sequence` changes last."""


def result_values(part: Part, product: str, sequence: int) -> dict[str, Value]:
    """Return the variables of a part's result."""
    values = {
        "ResultId": str(part.id),
        "PartId": part.number or "",
        "ProductId": product,
        "Line": part.line or "",
        "CreationTime": datetime.fromtimestamp(part.received_at / 1e6, UTC),
        "IsPartial": False,
        "IsSimulated": False,
        "InternalRecipeId": part.settings,
        "InternalModelId": part.model,
        "Verdict": part.verdict or "error",
        "Score": float("nan") if part.score is None else part.score,
        "Error": part.error or "",
        "ResultContent": json.dumps(part.record),
        "ResultState": _COMPLETED if part.error is None else _FAILED,
        "Sequence": sequence,
    }
    return {name: (values[name], kind) for name, (_, kind) in NO_RESULT.items()}


class Place:
    """An object with the variables of the last result, and counters since the start."""

    def __init__(self, index: int, name: str) -> None:
        self._index, self._name = index, name
        self._nodes: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()

    async def create(self, parent: Any, ua: Any) -> Place:
        """Add the object and its variables below `parent`."""
        owner = await self._object(parent, self._name, self._name.rpartition("/")[2], ua)
        result = await self._object(owner, f"{self._name}/LatestResult", "LatestResult", ua)
        counters = await self._object(owner, f"{self._name}/Counters", "Counters", ua)
        for name, value in NO_RESULT.items():
            await self._variable(result, "LatestResult", name, value, ua)
        for name in (*_COUNTED, "Total"):
            await self._variable(counters, "Counters", name, (0, "UInt64"), ua)
        return self

    async def show(self, parts: Sequence[Part], product: str, ua: Any) -> None:
        """Count these parts, and show the last of them."""
        self._counts.update((part.verdict or "error").capitalize() for part in parts)
        total = self._counts.total()
        for name in _COUNTED:
            await self._write("Counters", name, (self._counts[name], "UInt64"), ua)
        await self._write("Counters", "Total", (total, "UInt64"), ua)
        for name, value in result_values(parts[-1], product, total).items():
            await self._write("LatestResult", name, value, ua)

    async def _object(self, parent: Any, path: str, name: str, ua: Any) -> Any:
        return await parent.add_object(
            ua.NodeId(path, self._index), ua.QualifiedName(name, self._index)
        )

    async def _variable(self, parent: Any, group: str, name: str, value: Value, ua: Any) -> None:
        node_id = ua.NodeId(f"{self._name}/{group}/{name}", self._index)
        title = ua.QualifiedName(name, self._index)
        self._nodes[f"{group}/{name}"] = await parent.add_variable(
            node_id, title, value[0], getattr(ua.VariantType, value[1])
        )

    async def _write(self, group: str, name: str, value: Value, ua: Any) -> None:
        kind = getattr(ua.VariantType, value[1])
        await self._nodes[f"{group}/{name}"].write_value(ua.Variant(value[0], kind))
