"""Flawmap's entries in the metadata of an ONNX file, read and written without the onnx package.

An ONNX file is one protobuf message, ``ModelProto``: a sequence of fields, each a key (field number
and wire type) and a value. Field 14, ``metadata_props``, may occur any number of times and holds an
entry of two strings. A field may stand anywhere in the message, so entries are added by appending
them, and the network itself is never parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from flawmap.errors import FlawmapError

PREFIX = "flawmap."
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2  # the fields of an entry
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; groups (3, 4) are obsolete
_MOST_FIELDS = 100_000  # at the top level; our networks have about ten
_MOST_VARINT = 10  # bytes: 64 bits in groups of seven


class _Field(NamedTuple):
    """Field of a message: it starts at ``start``, and its value is ``data[value:end]``."""

    number: int
    kind: int
    start: int
    value: int
    end: int


def read_metadata(model: bytes) -> dict[str, str]:
    """Return flawmap's entries of an ONNX file, by full key.

    Raises FlawmapError if the bytes are not a protobuf message or an entry is not UTF-8.
    """
    data = memoryview(model)
    entries = [_entry(data[field.value : field.end]) for field in _metadata(data)]
    try:
        return {key.decode(): value.decode() for key, value in entries if _is_ours(key)}
    except UnicodeDecodeError as error:
        raise FlawmapError(
            "The metadata of the ONNX file is not text: copy the file again."
        ) from error


def with_metadata(model: bytes, entries: Mapping[str, str]) -> bytes:
    """Return the ONNX file with flawmap's entries replaced by these; other entries stay.

    Keys begin with ``flawmap.``. Raises as :func:`read_metadata`.
    """
    added = [_tagged(_METADATA_PROPS, _tagged(_KEY, key.encode()) + _tagged(_VALUE, text.encode()))
             for key, text in entries.items()]  # fmt: skip
    return b"".join([*_network(memoryview(model)), *added])


def without_metadata(model: bytes) -> bytes:
    """Return the ONNX file without flawmap's entries. Raises as :func:`read_metadata`."""
    return b"".join(_network(memoryview(model)))


def network_digest(model: bytes) -> str:
    """Return the SHA-256 of an ONNX file without flawmap's entries; new thresholds keep it valid.

    Raises as :func:`read_metadata`.
    """
    sha256 = hashlib.sha256()
    for part in _network(memoryview(model)):
        sha256.update(part)
    return sha256.hexdigest()


def _network(data: memoryview) -> Iterator[memoryview]:
    """Yield the file without flawmap's entries, in pieces and in order."""
    kept = 0
    for field in _metadata(data):
        if _is_ours(_entry(data[field.value : field.end])[0]):
            yield data[kept : field.start]
            kept = field.end
    yield data[kept:]


def _metadata(data: memoryview) -> Iterator[_Field]:
    for field in _fields(data):
        if field.number == _METADATA_PROPS and field.kind == _BYTES:
            yield field


def _is_ours(key: bytes) -> bool:
    return key.startswith(PREFIX.encode())


def _entry(data: memoryview) -> tuple[bytes, bytes]:
    """Return key and value; if a string occurs twice, the last one counts, as in protobuf."""
    parts = {_KEY: b"", _VALUE: b""}
    for field in _fields(data):
        if field.kind == _BYTES and field.number in parts:
            parts[field.number] = bytes(data[field.value : field.end])
    return parts[_KEY], parts[_VALUE]


def _fields(data: memoryview) -> Iterator[_Field]:
    """Yield the fields of a message; raise FlawmapError if one is truncated or of unknown kind."""
    at = 0
    for _ in range(_MOST_FIELDS):
        if at == len(data):
            return
        start = at
        key, at = _varint(data, at)
        value, end = _extent(data, at, key & 7)
        if end > len(data) or key >> 3 == 0:
            raise _damaged()
        yield _Field(key >> 3, key & 7, start, value, end)
        at = end
    raise _damaged()


def _extent(data: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Return the start and end of a value."""
    if kind == _VARINT:
        return at, _varint(data, at)[1]
    if kind == _BYTES:
        length, at = _varint(data, at)
        return at, at + length
    if kind in (_FIXED64, _FIXED32):
        return at, at + (8 if kind == _FIXED64 else 4)
    raise _damaged()


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a varint and the position after it: seven bits per byte, lowest first."""
    number = 0
    for index, byte in enumerate(data[at : at + _MOST_VARINT]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise _damaged()


def _tagged(number: int, value: bytes) -> bytes:
    """Return an encoded bytes field: key, length, value."""
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def _as_varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _damaged() -> FlawmapError:
    return FlawmapError("The file is not an ONNX file, or it is damaged: copy it again.")
