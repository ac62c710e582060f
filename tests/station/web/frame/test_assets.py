"""Styles and scripts: compressed, cached by their content, and nothing else is reachable."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from flawmap.station.web.frame.assets import asset_url


def test_an_address_with_the_digest_is_kept_for_ever(app_client: TestClient) -> None:
    found = app_client.get(asset_url("station.css"))
    assert found.headers["content-type"].startswith("text/css")
    assert found.headers["content-encoding"] == "gzip"
    assert "immutable" in found.headers["cache-control"]


def test_an_address_without_it_is_asked_for_again(app_client: TestClient) -> None:
    found = app_client.get("/static/station.js", headers={"Accept-Encoding": "identity"})
    assert found.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in found.headers
    again = app_client.get("/static/station.js", headers={"If-None-Match": found.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["nothing.css", "../assets.py", "..%2f..%2fapp.py", "/etc/passwd"])
def test_other_files_are_out_of_reach(app_client: TestClient, name: str) -> None:
    assert app_client.get(f"/static/{name}").status_code == 404
