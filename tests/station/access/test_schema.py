"""The API against its own OpenAPI document: no server errors, and answers of the promised form."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings

from flawmap.station.context import Station
from station.filling import add_login, fill
from station.people import add_person

_PROTOCOL = "/v2"  # the Open Inference Protocol says what these answers look like
_BUSY = (503, 504)


def _is_no_mistake(ctx: Any, response: Any, case: Any) -> None:
    """A check: the station is busy at most, and never fails."""
    assert response.status_code < 500 or response.status_code in _BUSY, response.content[:300]
    assert b"Traceback" not in response.content


@pytest.fixture
def logged_in(app_client: TestClient, station: Station) -> dict[str, Any]:
    """Header and cookie of an administrator of a station with parts."""
    add_person(station, "keeper", "administrator")
    fill(station.database, 30)
    station.events.close()
    cookie, csrf = add_login(station.database, "administrator")
    return {"headers": {"X-CSRF-Token": csrf}, "cookies": {"flawmap_session": cookie}}


def _attack(client: TestClient, logged_in: dict[str, Any], examples: int) -> None:
    import schemathesis  # every process of the tests imports this file
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    form = (
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    )
    wrong = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attack(case: Any) -> None:
            forms = () if case.path.startswith(_PROTOCOL) else form
            case.call_and_validate(checks=(_is_no_mistake, *forms), **logged_in)

        try:
            attack()
        except (Exception, BaseExceptionGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
def test_the_api_keeps_its_promises(app_client: TestClient, logged_in: dict[str, Any]) -> None:
    _attack(app_client, logged_in, 3)


@pytest.mark.long
def test_the_api_keeps_its_promises_at_length(
    app_client: TestClient, logged_in: dict[str, Any]
) -> None:
    _attack(app_client, logged_in, 100)
