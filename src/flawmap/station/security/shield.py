"""Shield: what holds for every request and answer, before any route and after it."""

from __future__ import annotations

import logging
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flawmap.station.context import Station
from flawmap.station.security.callers import known_caller
from flawmap.station.security.requests import host_is_allowed, is_foreign, take_over_proxy_headers
from flawmap.station.security.secrets import new_token

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would hide the Origin of forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
SMALL = 1_000_000  # bytes of a body without images
_SEVERAL = "multipart/form-data"  # all images of a form together fit into the queue
_UPLOADS = ("image/", "application/octet-stream")
_INFERENCE = "/v2/"  # tensors come as JSON as well
_ROOM = 1_000_000  # what a body has around its images


class Shield:
    """Refuse foreign hosts, foreign sites and large bodies; no traceback leaves the station."""

    def __init__(self, app: ASGIApp, station: Station) -> None:
        self.app, self.station = app, station

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.station.config.proxy:
            take_over_proxy_headers(scope)
        answer = _Answer(scope, send)
        refusal = await self._refusal(scope, receive)
        if refusal is not None:
            await refusal(scope, receive, answer.send)
            return
        try:
            await self.app(scope, self._limited(scope, receive), answer.send)
        except Exception as error:
            _log(scope, error)
            if answer.started:
                raise  # the connection breaks off: nobody takes half an answer for a whole one
            handler: Any = scope["app"].exception_handlers[Exception]
            await (await handler(Request(scope, receive), error))(scope, receive, answer.send)

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        """Return why a request is not looked at, from its headers alone."""
        headers = Headers(scope=scope)
        if not host_is_allowed(self.station.config, headers.get("host", "")):
            return _refuse(400, "The station is not known under this name: see --allow-host.")
        if is_foreign(scope):
            return _refuse(403, "Another web site asked for this: open the station's own page.")
        length = headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdigit()):
            return _refuse(400, "Content-Length is not a number.")
        most = self._most(scope["path"], headers)
        if length is not None and int(length[:20]) > most:
            return _refuse(413, _too_large(most))
        if (length is None or int(length) > SMALL) and scope["method"] not in ("GET", "HEAD"):
            return await self._stranger(scope, receive)
        return None

    async def _stranger(self, scope: Scope, receive: Receive) -> Response | None:
        """Refuse a large body of somebody unknown before it is read."""
        has_body = {"content-length", "transfer-encoding"} & set(Headers(scope=scope))
        if not has_body or await known_caller(Request(scope, receive), self.station) is not None:
            return None
        return _refuse(401, "Log in before you send a large body.")

    def _most(self, path: str, headers: Headers) -> int:
        kind = headers.get("content-type", "").lower()
        config = self.station.config
        if kind.startswith(_SEVERAL):
            return max(config.upload_megabytes, config.queue_megabytes) * 2**20 + _ROOM
        if kind.startswith(_UPLOADS) or path.startswith(_INFERENCE):
            return config.upload_megabytes * 2**20 + _ROOM
        return SMALL

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """Return `receive` that raises HTTPException once a body without a length is too large."""
        most, read = self._most(scope["path"], Headers(scope=scope)), 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, _too_large(most))
            return message

        return limited


class _Answer:
    """Send an answer with the headers that each one has."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send, self.started = send, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _log(scope: Scope, error: Exception) -> None:
    """Log an error under a number, which is all that the answer says of it."""
    number = new_token()[:8]
    logging.getLogger("flawmap.station").error(
        "error %s: %s %s failed", number, scope["method"], scope["path"], exc_info=error
    )
    scope.setdefault("state", {})["error_number"] = number


def mistake_sentence(number: str) -> str:
    """Return what people are told of an error whose details are in the log."""
    return f"The station made a mistake. Its log has the details under error {number}."


def _refuse(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status)


def _too_large(most: int) -> str:
    return f"This is larger than {most // 1_000_000} MB, the most that the station takes here."
