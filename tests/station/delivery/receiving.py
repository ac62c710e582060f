"""Other systems for tests of delivery: a web server that notes what it gets, and a real broker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Receiver:
    """A web server that answers with `statuses` one after the other, then always 200."""

    def __init__(self, *statuses: int, port: int = 0) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], bytes, int]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                receiver.requests.append((dict(self.headers), body, status))

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/verdicts"

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The messages that were confirmed."""
        return [json.loads(body) for _, body, status in self.requests if status == 200]


@contextmanager
def receiving(*statuses: int, port: int = 0) -> Iterator[Receiver]:
    """A receiver that runs."""
    receiver = Receiver(*statuses, port=port)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Broker:
    """Mosquitto on a port of the loopback, with one user."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder, self._server = folder, None
        passwords = folder / "passwords"
        program = ["mosquitto_passwd", "-b", "-c", passwords, "line", "secret word"]
        subprocess.run(program, check=True, capture_output=True)
        passwords.chmod(0o644)
        settings = f"listener {self.port} 127.0.0.1\npassword_file {passwords}\nuser root\n"
        (folder / "mosquitto.conf").write_text(f"{settings}allow_anonymous false\n")

    def start(self) -> None:
        """Start it, and return when it listens."""
        program = [shutil.which("mosquitto") or "mosquitto", "-c", self._folder / "mosquitto.conf"]
        quiet = subprocess.DEVNULL
        self._server = subprocess.Popen(program, stdout=quiet, stderr=quiet)  # type: ignore[assignment]
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._server is not None:
            self._server.terminate()  # type: ignore[unreachable]
            self._server.wait(10)
            self._server = None

    @contextmanager
    def subscribed(self, topic: str) -> Iterator[subprocess.Popen[str]]:
        """`mosquitto_sub`, which writes each message as a line: the topic, a space, the text."""
        account = ["-u", "line", "-P", "secret word"]
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-W", "30"]
        program = ["stdbuf", "-oL", "mosquitto_sub", *place, *account]
        client = subprocess.Popen(
            [*program, "-q", "1", "-t", topic, "-v", "-d"], stdout=subprocess.PIPE, text=True
        )
        assert client.stdout is not None
        while "SUBACK" not in client.stdout.readline():
            assert client.poll() is None, "mosquitto_sub was refused"
        try:
            yield client
        finally:
            client.terminate()
            client.wait(10)
            client.stdout.close()


def next_line(client: subprocess.Popen[str], start: str) -> str:
    """The next line of the client's output that begins so."""
    assert client.stdout is not None
    for line in client.stdout:
        if line.startswith(start):
            return line.rstrip("\n")
    raise AssertionError("mosquitto_sub has ended")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker; skips the test where mosquitto is not installed."""
    if not all(map(shutil.which, ("mosquitto", "mosquitto_sub", "mosquitto_passwd"))):
        pytest.skip("needs mosquitto: apt-get install mosquitto mosquitto-clients")
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt")
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()
