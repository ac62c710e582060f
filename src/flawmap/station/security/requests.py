"""Where a request came from, under which name it reached the station, and what is unsafe in it."""

from __future__ import annotations

import ipaddress
import socket
from functools import cache
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from flawmap.station.config import StationConfig

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::", ""})
_SAFE = ("GET", "HEAD", "OPTIONS")


def take_over_proxy_headers(scope: Scope) -> None:
    """Believe what the proxy in front of the station says of a request; call it only behind one.

    Of several addresses the last counts: the proxy added it, the others came with the request.
    """
    headers = Headers(scope=scope)
    if forwarded := headers.get("x-forwarded-for", "").split(",")[-1].strip():
        scope["client"] = (forwarded, 0)
    scheme = headers.get("x-forwarded-proto", "").split(",")[-1].strip().lower()
    if scheme in ("http", "https"):
        scope["scheme"] = scheme
    if host := headers.get("x-forwarded-host", "").split(",")[-1].strip():
        kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [*kept, (b"host", host.encode("latin-1"))]


def host_is_allowed(config: StationConfig, header: str) -> bool:
    """Whether the station is meant by this Host header; else a foreign site's name leads here.

    A station that listens on all addresses takes any address, and the machine's own name.
    """
    host = host_name(header)
    if host is None:
        return False
    if host in LOOPBACK or host in {config.host.lower(), *_lower(config.allow_hosts)}:
        return True
    if config.proxy and not config.allow_hosts:
        return True  # the proxy has chosen
    return config.host in _ANY and (_is_address(host) or host in _own_names())


def is_on_this_machine(scope: Scope, config: StationConfig) -> bool:
    """Whether a program on this machine calls, and no proxy for somebody else.

    A proxy that the station does not know of is recognised by the headers that all of them add.
    """
    headers = Headers(scope=scope)
    forwarded = any(name in headers for name in ("forwarded", "x-forwarded-for", "via"))
    client = scope.get("client")
    return client is not None and client[0] in LOOPBACK and (config.proxy or not forwarded)


def is_foreign(scope: Scope) -> bool:
    """Whether another web site makes a browser send this request, which would change something."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in _SAFE or origin is None:
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def local_path(target: str) -> str:
    """Return a path of this station to go to after the login; "/" for anything else.

    >>> local_path("/parts?verdict=reject"), local_path("//evil.example"), local_path("/\\\\evil")
    ('/parts?verdict=reject', '/', '/')
    """
    is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
    if not is_local or not target.isprintable() or "\\" in target:
        return "/"
    return quote(target, safe="/?&=%:,+-_.~!*'();@$")


def host_name(header: str) -> str | None:
    """Return the name in a Host header, without its port; None if the header is malformed.

    >>> host_name("Line3:8420"), host_name("[::1]:8420"), host_name("a/b"), host_name("")
    ('line3', '::1', None, None)
    """
    if not header or any(c in header for c in "/\\@?#, \t") or not header.isprintable():
        return None
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def warnings_for(config: StationConfig) -> list[str]:
    """Return sentences about what others on the network could do, and how to prevent it."""
    said = []
    is_local = config.host in LOOPBACK
    if not is_local and not config.proxy:
        said.append(
            f"Passwords and images travel unencrypted to {config.host}: put a reverse proxy with "
            "TLS in front, and start with --proxy (docs/station/users-and-proxy.md)."
        )
    if not is_local and config.proxy:
        said.append(
            f"With --proxy, whoever reaches {config.host} directly can claim any address: let "
            "only the proxy reach this port."
        )
    if config.opcua is not None and urlsplit(config.opcua).hostname not in LOOPBACK:
        said.append(
            f"Whoever reaches {config.opcua} reads all results by OPC UA, unencrypted and without "
            "a password: let only the controllers' network reach it."
        )
    if config.proxy and not config.allow_hosts:
        said.append("Any host name is accepted: name the proxy's with --allow-host NAME.")
    return said


def _lower(names: tuple[str, ...]) -> set[str]:
    return {name.lower() for name in names}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    return frozenset({name, f"{name}.local", name.split(".")[0]})
