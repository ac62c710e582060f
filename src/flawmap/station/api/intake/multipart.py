"""Parsing of multipart/form-data that is in memory: time is linear in its size, whatever it holds.

Parsers of streams go byte by byte through data that look like a boundary, so that a hostile upload
would hold up all other requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from python_multipart.multipart import parse_options_header

_HEADERS = 8192  # bytes of one part's headers, at most
_PADDING = 64  # bytes that may follow a boundary in its line, at most
_FILES = ("image", "images", "file", "files")  # their fields hold files even without a file name


class FormError(ValueError):
    """The body is not a form; the message says why."""


class FormPart(NamedTuple):
    """One field of a form: a file, or a text."""

    name: str
    data: bytes
    is_file: bool


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type header names. Raises FormError."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise FormError("the boundary is missing")
    return boundary


def form_parts(body: bytes, boundary: bytes) -> Iterator[FormPart]:
    """Yield the parts of a form. Raises FormError."""
    delimiter = b"\r\n--" + boundary
    at = body.find(delimiter[2:])  # the first one has no line end before it
    if at < 0:
        raise FormError("it holds no boundary")
    at += len(delimiter) - 2
    while not body.startswith(b"--", at):
        line_end = body.find(b"\r\n", at, at + _PADDING)
        headers_end = body.find(b"\r\n\r\n", line_end, line_end + _HEADERS)
        end = body.find(delimiter, headers_end + 2)
        if line_end < 0 or headers_end < 0 or end < 0:
            raise FormError("a part of it is cut short")
        name, is_file = _disposition(body[line_end:headers_end])
        yield FormPart(name, body[headers_end + 4 : end], is_file or name in _FILES)
        at = end + len(delimiter)


def _disposition(headers: bytes) -> tuple[str, bool]:
    """Return the field's name, and whether the headers name a file."""
    for line in headers.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
            if b"name" in options:
                is_file = b"filename" in options or b"filename*" in options
                return options[b"name"].decode("utf-8", "replace"), is_file
    raise FormError("a part has no name")
