"""Who may call each route: read from the routes themselves, for the reference and the tests."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from flawmap.station.security.callers import Admission, admission_by


def admissions(app: FastAPI) -> dict[tuple[str, str], str]:
    """Return whom each (method, path) admits, in words."""
    return {key: in_words(admission) for key, admission in route_admissions(app).items()}


def route_admissions(app: FastAPI) -> dict[tuple[str, str], Admission | None]:
    """Return whom each (method, path) admits; None: everybody."""
    found: dict[tuple[str, str], Admission | None] = {}
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        admitted = next(_declared(dependant), None) if dependant is not None else None
        for method in getattr(route, "methods", None) or ("GET",):
            found[method, str(getattr(route, "path", ""))] = admitted
    return found


def in_words(admission: Admission | None) -> str:
    """Return whom a route admits, for people."""
    if admission is None:
        return "everybody"
    who = f"{admission.role}s" if admission.role == "administrator" else f"{admission.role}s and up"
    return f"{who}; keys with {admission.scope}" if admission.scope else f"{who}; no keys"


def _declared(dependant: Dependant) -> Iterator[Admission]:
    for one in dependant.dependencies:
        admission = admission_by(one.call)
        if admission is not None:
            yield admission
        yield from _declared(one)
