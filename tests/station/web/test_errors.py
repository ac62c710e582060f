"""Errors: pages for browsers, JSON for programs, and no detail of a mistake in either."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from station.conftest import ClientAs

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
SCRIPT = {"Accept": "text/html", "HX-Request": "true"}


def test_a_browser_without_login_is_led_to_it_and_back(app_client: TestClient) -> None:
    found = app_client.get("/parts/3?a=1&b=2", headers=BROWSER, follow_redirects=False)
    assert found.status_code == 303
    assert found.headers["location"] == "/login?next=/parts/3%3Fa%3D1%26b%3D2"


def test_a_script_without_login_leads_the_whole_page_to_it(app_client: TestClient) -> None:
    found = app_client.get("/parts/3", headers=SCRIPT)
    assert found.status_code == 401
    assert found.headers["hx-redirect"] == "/login"


@pytest.mark.parametrize("path", ["/nothing", "/parts/7"])
def test_what_does_not_exist_is_a_page_or_json(client_as: ClientAs, path: str) -> None:
    client = client_as("operator")
    page = client.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert "There is nothing here" in page.text
    assert "operator" in page.text  # the header is there
    assert "detail" in client.get(path).json()


def test_a_page_of_an_invalid_address_says_what_is_wrong(client_as: ClientAs) -> None:
    page = client_as("operator").get("/parts/x", headers=BROWSER)
    assert page.status_code == 422
    assert "part_id" in page.text


def test_a_refused_form_leads_back_to_its_page(client_as: ClientAs) -> None:
    client = client_as("administrator")
    form = BROWSER | {"Referer": "http://testserver/products/1"}
    page = client.post("/products/7/retire", headers=form)
    assert 'href="/products/1"' in page.text
    for other in ("http://elsewhere/products/1", "javascript:alert(1)", "//elsewhere/x"):
        assert (
            ">Back<"
            not in client.post("/products/7/retire", headers=form | {"Referer": other}).text
        )
    assert ">Back<" not in client.get("/parts/7", headers=form).text


@pytest.mark.parametrize("headers", [BROWSER, {}])
def test_a_mistake_shows_no_detail(
    app_client: TestClient, client_as: ClientAs, headers: dict[str, str]
) -> None:
    @app_client.app.get("/mistake")  # type: ignore[attr-defined,untyped-decorator]
    def mistake() -> None:
        raise RuntimeError("the secret reason")

    logged_in = client_as("operator")
    client = TestClient(app_client.app, raise_server_exceptions=False, headers=headers)
    client.cookies = logged_in.cookies
    found = client.get("/mistake")
    assert found.status_code == 500
    assert "secret" not in found.text
    assert "log" in found.text
