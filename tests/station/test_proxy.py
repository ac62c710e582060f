"""The station behind nginx, with the configuration of docs/station/users-and-proxy.md."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from flawmap.station.app import create_app
from flawmap.station.config import StationConfig
from flawmap.station.context import Station
from flawmap.station.events import Event
from station.people import PASSWORD, add_person
from station.serving import serving

_PAGE = Path(__file__).parents[2] / "docs/station/users-and-proxy.md"
_NAME = "station.example.com"


@pytest.fixture
def behind_nginx(tmp_path: Path) -> Iterator[tuple[httpx2.Client, Station]]:
    """A client of nginx, and the station behind it."""
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("needs nginx and openssl: apt-get install nginx-light openssl")
    app = create_app(StationConfig(data=tmp_path / "data", proxy=True, allow_hosts=(_NAME,)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(app) as address:
        process = subprocess.Popen(
            ["nginx", "-p", tmp_path, "-c", _configure(tmp_path, address, port)]
        )
        trusted = ssl.create_default_context(cafile=str(tmp_path / "station.crt"))
        try:
            _wait_for(port)
            with httpx2.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"host": f"{_NAME}:{port}"},
                verify=trusted,
            ) as client:
                yield client, app.state.station
        finally:
            process.terminate()
            process.wait()


def _configure(folder: Path, address: str, port: int) -> Path:
    names = f"/CN={_NAME}", "-addext", f"subjectAltName=DNS:{_NAME},IP:127.0.0.1"
    key = ["-keyout", str(folder / "station.key"), "-out", str(folder / "station.crt")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *key, "-subj", *names]
    subprocess.run(command, check=True, capture_output=True)
    server = re.findall(r"```nginx\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)[0]
    server = server.replace("listen 443", f"listen 127.0.0.1:{port}")
    server = server.replace("http://127.0.0.1:8420", address).replace("/etc/ssl/", f"{folder}/")
    text = (
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; "
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; "
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{server}}}\n"
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return folder / "nginx.conf"


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nginx did not start")


@pytest.mark.long
def test_login_and_events_through_nginx(behind_nginx: tuple[httpx2.Client, Station]) -> None:
    client, station = behind_nginx
    add_person(station, "ann", "administrator")
    origin = {"origin": str(client.base_url).replace("127.0.0.1", _NAME).rstrip("/")}
    form = {"name": "ann", "password": PASSWORD}
    assert client.post("/login", data=form, headers={"origin": "https://evil"}).status_code == 403
    answer = client.post("/login", data=form, headers=origin)
    assert answer.status_code == 303
    assert "Secure" in answer.headers["set-cookie"]
    cookie = {"cookie": answer.headers["set-cookie"].split(";")[0]}
    made = client.get("/api/v1/account/sessions", headers=cookie)
    assert made.json()[0]["address"] == "127.0.0.1"  # nginx's client, not what a header claims
    page = client.get("/", headers=cookie | {"x-forwarded-for": "203.0.113.9"})
    assert page.status_code == 200
    with client.stream("GET", "/events", headers=cookie) as events:
        lines = events.iter_lines()
        next(lines)
        begun = time.monotonic()
        station.events.publish(Event("hello", {"a": 1}))
        assert any("hello" in line for line in lines)
        assert time.monotonic() - begun < 2.0
        station.events.close()
    foreign = client.get("/login", headers={"host": "evil.example"})
    assert foreign.status_code == 400
