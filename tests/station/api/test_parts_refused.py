"""Searches and exports of parts that cannot be: refused before the first byte of an answer."""

from __future__ import annotations

import pytest

from station.conftest import ClientAs


@pytest.mark.parametrize("path", ["", "/export.csv", "/export.parquet", "/coco.json"])
@pytest.mark.parametrize("field", ["", "=", "shift", "=late"])
def test_a_field_without_name_or_value(client_as: ClientAs, path: str, field: str) -> None:
    client = client_as("operator")
    answer = client.get(f"/api/v1/parts{path}", params={"field": field})
    assert answer.status_code == 422
    assert "field" in answer.json()["detail"]
    assert client.get(f"/api/v1/parts{path}", params={"field": "shift=a=b"}).status_code == 200
