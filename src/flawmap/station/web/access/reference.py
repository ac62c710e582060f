"""The reference of the API: made from its OpenAPI document, without scripts of others."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from flawmap.station.security.callers import Operator
from flawmap.station.web.access.admissions import admissions
from flawmap.station.web.rendering import page

router = APIRouter()


class Field(NamedTuple):
    """A parameter, or a field of a body or an answer."""

    name: str
    type: str
    is_required: bool
    description: str
    place: str = ""


class Operation(NamedTuple):
    """One route, as the page shows it."""

    method: str
    path: str
    summary: str
    description: str
    who: str
    parameters: list[Field]
    body_type: str
    body: list[Field]
    answer_type: str
    answer: list[Field]


@router.get("/docs", response_class=HTMLResponse)
def reference(request: Request, caller: Operator) -> Response:
    """Show all routes of the API."""
    app = cast(FastAPI, request.app)
    groups = groups_of(app.openapi(), admissions(app))
    return page(request, "access/reference.html.j2", caller, groups=groups)


def groups_of(document: dict[str, Any], who: dict[tuple[str, str], str]) -> dict[str, list[Any]]:
    """Return the operations of an OpenAPI document by their first tag, in its order."""
    groups: dict[str, list[Any]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            admitted = who.get((method.upper(), path), "")
            groups.setdefault(tag, []).append(
                _operation(document, path, method, operation, admitted)
            )
    return groups


def _operation(
    document: dict[str, Any], path: str, method: str, operation: dict[str, Any], who: str
) -> Operation:
    bodies = operation.get("requestBody", {}).get("content", {})
    answers = [
        answer.get("content", {})
        for status, answer in operation["responses"].items()
        if status.startswith("2")
    ]
    body_type, body = _content(document, bodies)
    answer_type, answer = _content(document, answers[0] if answers else {})
    parameters = [
        Field(
            one["name"],
            _type(one.get("schema", {})),
            one.get("required", False),
            one.get("description", one.get("schema", {}).get("description", "")),
            one["in"],
        )
        for one in operation.get("parameters", ())
    ]
    return Operation(
        method.upper(),
        path,
        operation.get("summary", ""),
        operation.get("description", ""),
        who,
        parameters,
        body_type,
        body,
        answer_type,
        answer,
    )


def _content(document: dict[str, Any], content: dict[str, Any]) -> tuple[str, list[Field]]:
    """Return the type of a body and the fields of its object."""
    for kind, value in content.items():
        schema = value.get("schema", {})
        word = _type(schema)
        return (f"{kind}: {word}" if word else kind), _fields(document, schema)
    return "", []


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> list[Field]:
    while "$ref" in schema or schema.get("type") == "array":
        schema = schema.get("items") or _resolve(document, schema["$ref"])
    required = schema.get("required", ())
    return [
        Field(name, _type(one), name in required, one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def _resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return cast(dict[str, Any], found)


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in words, such as `array of User`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(filter(None, map(_type, options))))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_type(schema.get('items', {})) or 'anything'}"
    return str(schema.get("format", kind)) if kind == "string" else kind
