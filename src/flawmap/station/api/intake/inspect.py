"""Inspection over HTTP: one image as a form or as a body, or several at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError

from flawmap.inspection.record import InspectionRecord
from flawmap.station.api.intake.uploads import TEXTS, Upload, read_upload
from flawmap.station.context import Station, StationOf
from flawmap.station.database.tables import Part
from flawmap.station.intake.service import DEADLINE, intake_of
from flawmap.station.intake.submission import (
    Answer,
    BusyError,
    KeyReusedError,
    RefusedError,
    Submission,
)
from flawmap.station.intake.worker import FAILURE
from flawmap.station.security.callers import Inspecting

router = APIRouter(prefix="/api/v1", tags=["inspect"])
_MOST_IMAGES = 32  # of one batch
_KEY = 97  # characters; with an image's place in its batch, such as /31, they fit the column


class InspectedPart(InspectionRecord):
    """The record of an inspected image, and where it is stored."""

    part: int = Field(description="id of the part")
    url: str = Field(description="path of the part's page")
    product: int = Field(description="id of the product")
    number: str | None = Field(None, description="part number, as sent")
    note: str | None = Field(None, description="why image or map are not stored, if so")
    detail: str | None = Field(None, description="the error, if there is no verdict")


class Said(BaseModel):
    """What a sender may say of a part, in a form, in the query or in headers."""

    product: str | None = Field(None, max_length=100, description="name of the product")
    number: str | None = Field(None, max_length=200, description="part number")
    line: str | None = Field(None, max_length=100, description="production line")
    key: str | None = Field(
        None,
        min_length=1,
        max_length=_KEY,
        pattern="^[ -~]+$",
        description=f"name of this request, at most {_KEY} characters: sent again, it gets the "
        "same answer; also the header Idempotency-Key",
    )
    deadline: float | None = Field(None, gt=0.0, description="seconds to wait for the verdict")


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


class InspectedParts(BaseModel):
    """The parts of a batch, in the order of its images; one without a verdict says why."""

    parts: list[InspectedPart]


_SAID = tuple(Said.model_fields)
_HEADER = "x-flawmap-"  # followed by one of _SAID, or the name of a field
_FIELD_NAME, _FIELD_TEXT = 60, 500  # characters
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PROPERTIES = Said.model_json_schema()["properties"]
REFUSALS: dict[int | str, dict[str, Any]] = {
    408: {"model": Refusal, "description": "the image did not arrive in time"},
    409: {"model": Refusal, "description": "the key belongs to another image"},
    413: {"model": Refusal, "description": "the image is too large"},
    415: {"model": Refusal, "description": "neither a form nor an image"},
    503: {"model": Refusal, "description": "the queue is full: see Retry-After"},
}
FAILURES: dict[int | str, dict[str, Any]] = {
    422: {
        "model": InspectedPart | Refusal,
        "description": "not an image: a part without verdict is stored; or no product is named",
    },
    500: {"model": InspectedPart | Refusal, "description": "the model failed on it"},
    504: {"model": InspectedPart, "description": "too many images were waiting"},
}


def _form(title: str, images: dict[str, Any], required: str) -> dict[str, Any]:
    """Return the OpenAPI schema of a form with images and what may be said of them."""
    properties = {required: images} | _PROPERTIES
    more = {"type": "string", "maxLength": _FIELD_TEXT}
    return {
        "schema": {
            "title": title,
            "type": "object",
            "properties": properties,
            "required": [required],
            "additionalProperties": more,
        }
    }


_ONE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _form("ImageForm", _BINARY["schema"], "image"),
            "image/*": _BINARY,
            "application/octet-stream": _BINARY,
        },
    },
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _PROPERTIES.items()
    ],
}
_SEVERAL = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _form(
                "ImagesForm",
                {"type": "array", "items": _BINARY["schema"], "maxItems": _MOST_IMAGES},
                "images",
            )
        },
    }
}


@router.post(
    "/inspect",
    operation_id="inspect_image",
    response_model=InspectedPart,
    responses=REFUSALS | FAILURES,
    openapi_extra=_ONE,
)
async def inspect(request: Request, station: StationOf, _caller: Inspecting) -> Response:
    """Inspect one image, sent as the file `image` of a form or as the body itself.

    Further texts of the form, and headers `X-Flawmap-NAME`, become fields of the part. The answer
    comes when the part is stored, and `part` is its id, with or without a verdict.
    """
    return answer_with((await _inspected(request, station, 1))[0].part)


@router.post(
    "/inspect/batch",
    operation_id="inspect_images",
    response_model=InspectedParts,
    responses=REFUSALS | {422: {"model": Refusal}},
    openapi_extra=_SEVERAL,
)
async def inspect_batch(request: Request, station: StationOf, _caller: Inspecting) -> Response:
    """Inspect several images, all of which are accepted or none; texts of the form go for all."""
    answers = await _inspected(request, station, _MOST_IMAGES)
    return _json({"parts": [_value(one.part) for one in answers]}, 200)


async def _inspected(request: Request, station: Station, most: int) -> list[Answer]:
    """Read the request, and wait until its images are inspected and stored."""
    intake = intake_of(station)
    try:
        with intake.receive() as reserved:
            upload = await read_upload(request, station.config, reserved, most)
            submissions = _submissions(request, upload)
        return await answers_of(intake.submit_all(submissions))
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    except KeyReusedError as error:
        raise HTTPException(409, str(error)) from error
    except RefusedError as error:
        raise HTTPException(422, str(error)) from error


async def answers_of(futures: Sequence[Future[Answer]]) -> list[Answer]:
    """Wait for all answers; raise the first error of them, once all have come."""
    ended = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if isinstance(one, Answer)]


def _submissions(request: Request, upload: Upload) -> list[Submission]:
    """Return the images with what the request says of them. Raises HTTPException 422."""
    texts = dict(request.query_params)
    for name, value in request.headers.items():
        if name.startswith(_HEADER):
            texts[name.removeprefix(_HEADER)] = value
    if key := request.headers.get("idempotency-key"):
        texts["key"] = key
    texts |= upload.texts
    said = parse_said({name: texts.pop(name) for name in _SAID if texts.get(name)})
    fields = parse_fields({name: text for name, text in texts.items() if name not in _SAID})
    several = len(upload.images) > 1
    return [
        Submission(
            data=data,
            product=said.product,
            number=said.number,
            line=said.line,
            key=f"{said.key}/{index}" if said.key and several else said.key,
            deadline=said.deadline,
            fields=fields,
        )
        for index, data in enumerate(upload.images)
    ]


def parse_said(texts: Mapping[str, Any]) -> Said:
    """Check what is said of a part. Raises HTTPException 422."""
    try:
        return Said.model_validate(texts)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{where}: {first['msg'].lower()}.") from error


def parse_fields(texts: Mapping[str, str]) -> dict[str, str]:
    """Check fields of the sender's own. Raises HTTPException 422."""
    fields = {name: text for name, text in texts.items() if name != "csrf"}
    longest = max(map(len, fields), default=0), max(map(len, fields.values()), default=0)
    if len(fields) > TEXTS or longest[0] > _FIELD_NAME or longest[1] > _FIELD_TEXT:
        raise HTTPException(
            422,
            f"Send at most {TEXTS} fields, with names of at most {_FIELD_NAME} and texts of at "
            f"most {_FIELD_TEXT} characters.",
        )
    return fields


def status_of(part: Part) -> int:
    """Return the HTTP status that goes with a part's record."""
    if part.error is None:
        return 200
    if part.error.startswith(DEADLINE):
        return 504
    return 500 if part.error.startswith(FAILURE) else 422


def answer_with(part: Part) -> Response:
    """Return the answer to whoever had this part inspected."""
    return _json(_value(part), status_of(part))


def _value(part: Part) -> dict[str, Any]:
    """Return an :class:`InspectedPart` as JSON types; of the record nothing is parsed again."""
    more = {"number": part.number, "note": part.note, "detail": part.error}
    return {
        **part.record,
        "part": part.id,
        "url": f"/parts/{part.id}",
        "product": part.product_id,
        **{name: value for name, value in more.items() if value is not None},
    }


def _json(value: Any, status: int) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
