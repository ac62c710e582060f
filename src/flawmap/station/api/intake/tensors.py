"""Tensors of the Open Inference Protocol v2, in JSON and in its binary extension."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEADER_LENGTH = "Inference-Header-Content-Length"
INPUT = "IMAGE"
OUTPUTS = {"score": "FP32", "p_value": "FP32", "verdict": "BYTES", "part": "INT64", "map": "FP32"}
"""Outputs and their types; the map is given only when it is asked for."""
DEFAULT = ("score", "p_value", "verdict", "part")
_PIXELS = 178_000_000  # of an image that is sent as an array, at most
_COMPRESSION = 1


class ProtocolError(ValueError):
    """A request that is not of the protocol; the message says what is wrong."""


@dataclass(frozen=True)
class InferRequest:
    """A request: files or arrays of images, and which outputs it wants in binary or in JSON."""

    images: list[bytes | NDArray[np.uint8]]
    outputs: dict[str, bool]  # whether in binary
    id: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def parse_request(body: bytes, header_length: str | None) -> InferRequest:
    """Parse a request of at most one input. Raises ProtocolError."""
    length = len(body) if header_length is None else _length(header_length, len(body))
    header = _object(body[:length])
    parameters = _mapping(header.get("parameters", {}), "parameters")
    inputs = header.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise ProtocolError(f"give one input, {INPUT}")
    images = _images(_mapping(inputs[0], "the input"), memoryview(body)[length:])
    identity = header.get("id")
    if not (identity is None or isinstance(identity, str)):
        raise ProtocolError("id is not a text")
    return InferRequest(images, _outputs(header, parameters), identity, parameters)


def _length(text: str, most: int) -> int:
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise ProtocolError(f"{HEADER_LENGTH} is not a length within the body")
    return int(text)


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the request is not JSON") from error
    return _mapping(value, "the request")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError(f"{what}: not a JSON object")
    return value


def _outputs(header: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Return the wanted outputs, and whether each is wanted in binary."""
    default = parameters.get("binary_data_output") is True
    wanted = header.get("outputs") or [{"name": name} for name in DEFAULT]
    if not isinstance(wanted, list):
        raise ProtocolError("outputs: not a list")
    found = {}
    for one in wanted:
        output = _mapping(one, "an output")
        name = output.get("name")
        if name not in OUTPUTS:
            raise ProtocolError(f"an output is none of {', '.join(OUTPUTS)}")
        own = _mapping(output.get("parameters", {}), "parameters of an output")
        found[name] = own.get("binary_data", default) is True
    return found


def _images(tensor: Mapping[str, Any], binary: memoryview) -> list[bytes | NDArray[np.uint8]]:
    shape, kind = tensor.get("shape"), tensor.get("datatype")
    if tensor.get("name") != INPUT:
        raise ProtocolError(f"the input is not named {INPUT}")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ProtocolError("the input's shape is not a list of positive whole numbers")
    own = _mapping(tensor.get("parameters", {}), "parameters of the input")
    size = own.get("binary_data_size")
    if size is not None and size != len(binary):
        raise ProtocolError("binary_data_size is not the size of the data")
    data = None if size is None else binary
    if kind == "BYTES":
        return list(_files(tensor, shape, data))
    if kind == "UINT8":
        return list(_arrays(tensor, shape, data))
    raise ProtocolError("the input's datatype is neither BYTES nor UINT8")


def _files(tensor: Mapping[str, Any], shape: list[int], data: memoryview | None) -> list[bytes]:
    """Return image files: each with its length before it, or as base64 in JSON."""
    count = math.prod(shape)
    if data is not None:
        files = _split(data)
    else:
        texts = tensor.get("data")
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise ProtocolError("data is not a list of texts, each an image's file in base64")
        try:
            files = [base64.b64decode(one, validate=True) for one in texts]
        except (binascii.Error, ValueError) as error:
            raise ProtocolError("a text of data is not base64") from error
    if len(files) != count:
        raise ProtocolError(f"the shape is of {count} images, the data of {len(files)}")
    return files


def _split(data: memoryview) -> list[bytes]:
    files, at = [], 0
    while at < len(data):
        end = at + 4 + (struct.unpack_from("<I", data, at)[0] if at + 4 <= len(data) else 2**32)
        if end > len(data):
            raise ProtocolError("the last image is cut short")
        files.append(bytes(data[at + 4 : end]))
        at = end
    return files


def _arrays(
    tensor: Mapping[str, Any], shape: list[int], data: memoryview | None
) -> Sequence[NDArray[np.uint8]]:
    """Return images (H, W, 3) of an array (H, W, 3) or (N, H, W, 3), in RGB."""
    if len(shape) not in (3, 4) or shape[-1] != 3 or math.prod(shape[-3:-1]) > _PIXELS:
        raise ProtocolError("the shape of UINT8 is neither [H, W, 3] nor [N, H, W, 3]")
    values = _numbers(tensor.get("data")) if data is None else np.frombuffer(data, np.uint8)
    if values.size != math.prod(shape):
        raise ProtocolError("the data do not have the size of the shape")
    return list(values.reshape(-1, *shape[-3:]))


def _numbers(data: Any) -> NDArray[np.uint8]:
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise ProtocolError("data is not a list of numbers") from error
    if values.dtype.kind != "i" or (values.size and not 0 <= values.min() <= values.max() <= 255):
        raise ProtocolError("data is not a list of whole numbers from 0 to 255")
    return values.astype(np.uint8).ravel()


def as_file(image: bytes | NDArray[np.uint8]) -> bytes:
    """Return an image's file; of an array, a PNG that is quick to write."""
    if isinstance(image, bytes):
        return image
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=_COMPRESSION)
    return file.getvalue()


def encode_answer(
    model: str, request: InferRequest, values: Mapping[str, NDArray[Any]]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if binary data follow it.

    `values`: numbers, or texts as dtype object, by the names of :data:`OUTPUTS`.
    """
    outputs, blocks = [], []
    for name, binary in request.outputs.items():
        value = values[name]
        output: dict[str, Any] = {
            "name": name,
            "datatype": OUTPUTS[name],
            "shape": list(value.shape),
        }
        if binary:
            blocks.append(_block(value))
            output["parameters"] = {"binary_data_size": len(blocks[-1])}
        else:
            output["data"] = value.ravel().tolist()
        outputs.append(output)
    answer = {"model_name": model, "model_version": "1", "outputs": outputs}
    if request.id is not None:
        answer["id"] = request.id
    header = json.dumps(answer).encode()
    return header + b"".join(blocks), len(header) if blocks else None


def _block(value: NDArray[Any]) -> bytes:
    if value.dtype == object:
        texts = [text.encode() for text in value.ravel()]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.ascontiguousarray(value).tobytes()
