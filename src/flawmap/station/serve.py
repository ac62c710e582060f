"""``flawmap serve``: start a station and run it until it is told to stop."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Unpack

from flawmap.errors import FlawmapError
from flawmap.runtime.base import RuntimeOptions
from flawmap.utils.files import check_writable, make_folder
from flawmap.utils.locks import only_writer
from flawmap.utils.signals import stopping_signals

if TYPE_CHECKING:
    from flawmap.station.config import StationConfig
    from flawmap.station.context import Station

DATA = Path("station")
HOST, PORT = "127.0.0.1", 8420
_ANSWERING = 5  # seconds after the deadline within which a stopping station still answers
_KEEP_ALIVE = 75  # seconds for which a connection without requests stays open
_SWITCH = 0.001  # seconds for which a thread of Python keeps others waiting; by default 5 ms
_LOG = logging.getLogger("flawmap.station")


def serve(
    runs: Sequence[str | os.PathLike[str]] = (),
    *,
    data: str | os.PathLike[str] = DATA,
    database: str | None = None,
    watch: Sequence[str | os.PathLike[str]] = (),
    camera: Sequence[str | os.PathLike[str]] = (),
    opcua: str | None = None,
    host: str = HOST,
    port: int = PORT,
    proxy: bool = False,
    allow_hosts: Sequence[str] = (),
    reset_administrator: bool = False,
    log_json: bool = False,
    say: Callable[[str], None] = _LOG.warning,
    **runtime: Unpack[RuntimeOptions],
) -> None:
    """Run a station until Ctrl-C or a stop signal; what it accepted until then is answered.

    `runs`: run folders, each as `RUN` or `NAME=RUN`: one that is new to the product NAME, by
    default the folder's name, becomes its model. A run of an earlier start changes nothing: people
    may have promoted another model since. Products of earlier starts are served as well. `data`:
    folder for images, maps and the database. `database`: URL such as
    `postgresql+psycopg://user@host/name`; by default SQLite in `data`.
    `watch`: folders whose images are inspected, each as `DIR` or `PRODUCT=DIR`.
    `camera`: devices by number, URLs and video files, each as `WHERE` or `PRODUCT=WHERE`; an image
    a second of each is inspected. `opcua`: address such as `opc.tcp://127.0.0.1:4840` at which
    controllers read the last results.
    `port` 0: any free one. `proxy`: behind a reverse proxy on this machine that ends TLS.
    `allow_hosts`: names under which browsers reach the station, besides `host` and the loopback.
    `reset_administrator`: print a link that makes whoever opens it an administrator; without, one
    is printed while there is no administrator. `say` gets the address, the link and warnings, a
    line each. `log_json`: write all lines to stderr as JSON objects instead. `runtime`: see
    RuntimeOptions.

    Raises UsageError for wrong values; FlawmapError if packages, a run, the folder, the database
    or the port cannot be used, or another station uses the folder.
    """
    _need_packages()
    from flawmap.station.config import StationConfig
    from flawmap.station.observe.logs import log_json as write_json

    if log_json:
        write_json()
        say = _LOG.info
    config = StationConfig(
        runs=tuple(map(os.fspath, runs)),
        data=Path(data),
        database=database,
        watch=tuple(map(os.fspath, watch)),
        camera=tuple(map(os.fspath, camera)),
        opcua=opcua,
        host=host,
        port=port,
        proxy=proxy,
        allow_hosts=tuple(allow_hosts),
        **runtime,
    )
    check_writable(make_folder(config.data))
    with only_writer(config.data), _listening(host, port) as listener:
        _run(config, listener, reset_administrator, say)


def _need_packages() -> None:
    try:
        import fastapi  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise FlawmapError(
            "The station needs more packages: pip install 'flawmap[serve]'"
        ) from error


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0: any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol, asyncio sends small answers at once; of a socket without, as
    # socket.create_server makes, it does not know that it is TCP: each answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = open_listener(host, port)
    except OSError as error:
        reason = error.strerror or error
        if error.errno == errno.EADDRINUSE:
            reason = "another program listens there. Give another --port, or 0 for any free one"
        elif error.errno == errno.EACCES:
            reason = "only an administrator may. Give a --port above 1023"
        raise FlawmapError(f"Cannot listen on {host}, port {port}: {reason}.") from error
    with listener:
        yield listener


def _run(
    config: StationConfig, listener: socket.socket, reset: bool, say: Callable[[str], None]
) -> None:
    from flawmap.station.app import create_app

    app = create_app(config)
    station = app.state.station
    server = _server(app, config)
    sys.setswitchinterval(_SWITCH)
    try:
        station.address = address = _address(listener)
        if config.proxy and config.allow_hosts:
            station.address = f"https://{config.allow_hosts[0]}"
        with contextlib.suppress(KeyboardInterrupt):  # a signal before the server catches them
            station.start()
            _greet(station, address, reset, say)
            server.run(sockets=[listener])
    finally:
        station.stop()
    say("The station has stopped.")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _greet(station: Station, address: str, reset: bool, say: Callable[[str], None]) -> None:
    from flawmap.station.security.links import HOURS, first_start_link, reset_link
    from flawmap.station.security.requests import warnings_for

    config = station.config
    say(f"The station runs at {address} and keeps its data in {config.data}. Ctrl-C stops it.")
    for sentence in warnings_for(config):
        say(sentence)
    link = (reset_link if reset else first_start_link)(station, station.address)
    if link is not None:
        say(f"To become its administrator, open this link within {HOURS} hours: {link}")


def _server(app: Any, config: StationConfig) -> Any:
    """Return a server that lets pages go and answers what it accepted when a signal stops it."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop by signals; unlike the original, not by raising them again at the end."""
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            numbers = (signal.SIGINT, *stopping_signals())
            before = {number: signal.signal(number, self.handle_exit) for number in numbers}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.station.events.close()
            super().handle_exit(sig, frame)

    return Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="on",
            server_header=False,
            proxy_headers=False,  # the shield takes them over, with --proxy only
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=round(config.deadline) + _ANSWERING,
        )
    )
