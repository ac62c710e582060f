"""The lines of docs/station/inspect-over-http.md, run as a reader would; and a generated client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.blocks import ROOT
from station.inspecting import Inspecting, add_key, draw_png, inspecting
from station.serving import serving

_PAGE = ROOT / "docs" / "station" / "inspect-over-http.md"
_CLIENT = """
import io, json, sys
from pathlib import Path
from station_client import AuthenticatedClient
from station_client.api.inspect import inspect_image
from station_client.models import InspectImageFilesImageForm as Form
from station_client.types import File

address, key = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=key)
body = Form(image=File(io.BytesIO(Path("part.png").read_bytes()), "part.png"), number="G 1")
found = inspect_image.sync_detailed(client=client, body=body)
print(json.dumps([int(found.status_code), found.parsed.verdict, found.parsed.part]))
"""


@pytest.fixture(scope="module")
def line(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspecting]:
    with inspecting(tmp_path_factory.mktemp("line"), f"board={tiny_run}") as line:
        yield line


@pytest.fixture(scope="module")
def address(line: Inspecting) -> Iterator[str]:
    with serving(line.app) as address:
        yield address


@pytest.fixture
def environment(line: Inspecting, address: str, tmp_path: Path) -> dict[str, str]:
    """Variables that the page names; its images are in the folder of the test."""
    for seed, name in enumerate(("part.png", "left.png", "right.png")):
        (tmp_path / name).write_bytes(draw_png(seed))
    key = add_key(line.station)["Authorization"].removeprefix("Bearer ")
    return os.environ | {"STATION": address, "KEY": key}


def _blocks(kind: str) -> list[str]:
    return [text.split("```")[0] for text in _PAGE.read_text("utf-8").split(f"```{kind}\n")[1:]]


@pytest.mark.posix
def test_the_curl_lines_of_the_page(
    line: Inspecting, environment: dict[str, str], tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    lines = [one for block in _blocks("sh") for one in block.splitlines() if "inspect" in one]
    lines = [one for one in lines if one.startswith("curl ")]
    assert len(lines) == 3
    for command in lines:
        done = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl -sS --fail-with-body ", 1)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        for part in answer.get("parts", [answer]):
            assert part["verdict"] in ("good", "review", "reject")
    assert [part.number for part in line.parts()] == ["SN-17"] * 4
    assert line.parts()[1].fields == {"shift": "early"}


def test_the_python_lines_of_the_page(
    line: Inspecting, environment: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    (code,) = _blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(line.parts()[-1].id) in done.stdout


def test_a_generated_client(line: Inspecting, environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("openapi_python_client", reason="needs openapi-python-client")
    document = line.client.get("/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "names.yml").write_text("package_name_override: station_client\n")
    subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json",
         "--config", "names.yml", "--meta", "none", "--output-path", "station_client"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, environment["STATION"], environment["KEY"]],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    status, verdict, part = json.loads(done.stdout)
    assert (status, part) == (200, line.parts()[-1].id)
    assert verdict == line.parts()[-1].verdict
    assert line.parts()[-1].number == "G 1"
