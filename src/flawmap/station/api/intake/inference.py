"""Open Inference Protocol v2: inspection for clients such as `tritonclient.http`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from numpy.typing import NDArray

from flawmap import __version__
from flawmap.inspection.decision import Inspection
from flawmap.station.api.intake.inspect import answers_of, parse_fields, parse_said, status_of
from flawmap.station.api.intake.tensors import (
    HEADER_LENGTH,
    INPUT,
    OUTPUTS,
    InferRequest,
    ProtocolError,
    as_file,
    encode_answer,
    parse_request,
)
from flawmap.station.api.intake.uploads import read_body
from flawmap.station.context import Station, StationOf
from flawmap.station.intake.products import LiveProduct
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.submission import (
    Answer,
    BusyError,
    KeyReusedError,
    RefusedError,
    Submission,
    UnknownProductError,
)
from flawmap.station.parts.files import FileStore
from flawmap.station.security.callers import Inspecting

_MOST_IMAGES = 32  # of one request
_SAID = ("number", "line", "key", "deadline")
_RESERVED = frozenset(  # of the protocol's clients: they mean nothing here
    {"binary_data_output", "timeout", "priority", "sequence_id", "sequence_start", "sequence_end"}
)
_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"


class _Route(APIRoute):
    """A route whose refusals are `{"error": ...}`, as the protocol's clients read them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except HTTPException as error:
                text = str(error.detail)
                return JSONResponse({"error": text}, error.status_code, error.headers)

        return handler


router = APIRouter(tags=["Open Inference Protocol"], route_class=_Route)


@router.get("/v2/health/live")
async def live() -> Response:
    """Say that the server runs."""
    return Response()


@router.get("/v2/health/ready")
async def ready(station: StationOf) -> Response:
    """Say whether images are accepted: 503 while there is no inspector."""
    usable = any(product.live is not None for product in intake_of(station).products)
    return Response(status_code=200 if usable else 503)


@router.get("/v2")
async def server(_caller: Inspecting) -> dict[str, Any]:
    """Describe the server."""
    return {"name": "flawmap", "version": __version__, "extensions": ["binary_tensor_data"]}


@router.get(_MODEL)
@router.get(_VERSION, include_in_schema=False)
async def model(
    name: str, station: StationOf, _caller: Inspecting, version: str = "1"
) -> dict[str, Any]:
    """Describe a product's inputs and outputs.

    `IMAGE` takes files (BYTES), or pixels in RGB: UINT8 of shape [H, W, 3] or [N, H, W, 3].
    """
    _product(station, name, version)
    maps = {"map": [-1, -1, -1]}
    return {
        "name": name,
        "versions": ["1"],
        "platform": "flawmap",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": output, "datatype": kind, "shape": maps.get(output, [-1])}
            for output, kind in OUTPUTS.items()
        ],
    }


@router.get(f"{_MODEL}/ready")
@router.get(f"{_VERSION}/ready", include_in_schema=False)
async def model_ready(
    name: str, station: StationOf, _caller: Inspecting, version: str = "1"
) -> Response:
    """Say whether a product has an inspector."""
    return Response(status_code=200 if _product(station, name, version).live else 503)


@router.post(
    f"{_MODEL}/infer",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
@router.post(f"{_VERSION}/infer", include_in_schema=False)
async def infer(
    name: str, request: Request, station: StationOf, _caller: Inspecting, version: str = "1"
) -> Response:
    """Inspect the images of `IMAGE`; each becomes a part, whose id is the output `part`.

    Parameters `number`, `line`, `key` and `deadline` are as in `/api/v1/inspect`; others become
    fields of the part.
    """
    product = _product(station, name, version)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "Send the request without compression.")
    try:
        with intake_of(station).receive() as reserved:
            most = station.config.upload_megabytes * 2**20
            body = await read_body(request, station.config, reserved, most)
            asked = parse_request(body, request.headers.get(HEADER_LENGTH))
            submissions = await _submissions(asked, product)
            del body
        answers = await answers_of(intake_of(station).submit_all(submissions))
        return _answer(name, asked, answers, station.files)
    except ProtocolError as error:
        raise HTTPException(400, f"The request cannot be read: {error}.") from error
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": str(error.seconds)}) from error
    except KeyReusedError as error:
        raise HTTPException(409, str(error)) from error
    except RefusedError as error:
        raise HTTPException(400, str(error)) from error


def _product(station: Station, name: str, version: str) -> LiveProduct:
    try:
        product = intake_of(station).products.find(name)
    except UnknownProductError as error:
        raise HTTPException(404, str(error)) from error
    if version != "1":
        raise HTTPException(404, "There is version 1 only.")
    return product


async def _submissions(asked: InferRequest, product: LiveProduct) -> list[Submission]:
    count = len(asked.images)
    if count > _MOST_IMAGES:
        raise ProtocolError(f"more than {_MOST_IMAGES} images")
    texts = {name: value for name, value in asked.parameters.items() if name not in _RESERVED}
    said = parse_said({name: texts.pop(name) for name in _SAID if name in texts})
    fields = parse_fields({name: str(value) for name, value in texts.items()})
    if any(isinstance(image, np.ndarray) for image in asked.images):
        files = await asyncio.to_thread(lambda: [as_file(image) for image in asked.images])
    else:
        files = [as_file(image) for image in asked.images]
    return [
        Submission(
            data=data,
            source="inference",
            product=product.id,
            number=said.number,
            line=said.line,
            key=f"{said.key}/{index}" if said.key and count > 1 else said.key,
            deadline=said.deadline,
            fields=fields,
        )
        for index, data in enumerate(files)
    ]


def _answer(
    name: str, asked: InferRequest, answers: Sequence[Answer], files: FileStore
) -> Response:
    failed = [one.part for one in answers if one.part.error is not None]
    if failed:
        what = "; ".join(f"part {part.id}: {part.error}" for part in failed)
        raise HTTPException(status_of(failed[0]), what)
    parts = [one.part for one in answers]
    values: dict[str, NDArray[Any]] = {
        "score": np.array([part.score for part in parts], np.float32),
        "p_value": np.array([part.p_value for part in parts], np.float32),
        "verdict": np.array([part.verdict for part in parts], object),
        "part": np.array([part.id for part in parts], np.int64),
    }
    if "map" in asked.outputs:
        values["map"] = _maps(answers, files)
    body, length = encode_answer(name, asked, values)
    if length is None:
        return Response(body, media_type="application/json")
    headers = {HEADER_LENGTH: str(length)}
    return Response(body, headers=headers, media_type="application/octet-stream")


def _maps(answers: Sequence[Answer], files: FileStore) -> NDArray[np.float32]:
    """Return the maps (N, h, w) of parts whose maps have one size."""
    maps = [_map(one, files) for one in answers]
    if len({one.shape for one in maps}) != 1:
        raise ProtocolError("the maps have several sizes: ask for them one by one")
    return np.stack(maps)


def _map(answer: Answer, files: FileStore) -> NDArray[np.float32]:
    if isinstance(answer.outcome, Inspection):
        return answer.outcome.raw_map
    part = answer.part  # inspected before, under the same key
    if part.image is None or not part.has_map:
        raise HTTPException(404, f"The map of part {part.id} is not stored.")
    return files.read_map(part.image, part.model)
