"""The Open Inference Protocol, by the real client of Triton and by plain JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawmap.inspection.inspector import Inspector
from station.inspecting import Inspecting, add_key, draw_png, inspecting
from station.serving import serving

INFER = "/v2/models/board/infer"


@pytest.fixture(scope="module")
def line(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspecting]:
    with inspecting(tmp_path_factory.mktemp("line"), f"board={tiny_run}") as line:
        yield line


@pytest.fixture(scope="module")
def triton(line: Inspecting) -> Iterator[tuple[Any, Any, dict[str, str]]]:
    """The module of the client, a client, and headers with a key."""
    module = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    with serving(line.app) as address:
        client = module.InferenceServerClient(address.removeprefix("http://"))
        yield module, client, add_key(line.station)
        client.close()


def test_triton_sends_files(line: Inspecting, tiny_run: Path, triton: Any) -> None:
    module, client, headers = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("board", headers=headers)
    assert client.get_server_metadata(headers=headers)["name"] == "flawmap"
    described = client.get_model_metadata("board", headers=headers)
    assert described["inputs"] == [{"name": "IMAGE", "datatype": "BYTES", "shape": [-1]}]
    files = [draw_png(seed) for seed in (1, 2)]
    image = module.InferInput("IMAGE", [2], "BYTES")
    image.set_data_from_numpy(np.array(files, object))
    result = client.infer(
        "board", [image], headers=headers, request_id="7", parameters={"number": "T 1", "cell": "4"}
    )
    inspector = Inspector.load(tiny_run, threads=1)
    scores = [np.float32(inspector.inspect(data).score) for data in files]
    assert np.allclose(result.as_numpy("score"), scores, atol=1e-6)
    assert set(result.as_numpy("verdict")) <= {b"good", b"review", b"reject"}
    assert result.get_response()["id"] == "7"
    parts = line.parts()[-2:]
    assert sorted(result.as_numpy("part")) == [part.id for part in parts]
    assert [(one.number, one.fields, one.source) for one in parts] == [
        ("T 1", {"cell": "4"}, "inference")
    ] * 2


def test_triton_sends_pixels_and_asks_for_the_map(triton: Any, tiny_run: Path) -> None:
    module, client, headers = triton
    pixels = np.random.default_rng(5).integers(0, 256, (50, 60, 3), np.uint8)
    image = module.InferInput("IMAGE", list(pixels.shape), "UINT8")
    image.set_data_from_numpy(pixels)
    outputs = [
        module.InferRequestedOutput("map", binary_data=True),
        module.InferRequestedOutput("verdict", binary_data=False),
    ]
    result = client.infer("board", [image], outputs=outputs, headers=headers, model_version="1")
    alone = Inspector.load(tiny_run, threads=1).inspect(pixels)
    assert np.allclose(result.as_numpy("map")[0], alone.raw_map, atol=1e-6)
    assert result.as_numpy("verdict").tolist() == [alone.verdict]


def test_triton_reads_refusals(triton: Any) -> None:
    module, client, headers = triton
    image = module.InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([b"no image"], object))
    error = module.InferenceServerClient and __import__("tritonclient.utils").utils
    with pytest.raises(error.InferenceServerException, match="part "):
        client.infer("board", [image], headers=headers)
    with pytest.raises(error.InferenceServerException, match="There is no product"):
        client.infer("other", [image], headers=headers)
    with pytest.raises(error.InferenceServerException, match="Log in"):
        client.infer("board", [image])


def _tensor(**changes: Any) -> dict[str, Any]:
    data = [base64.b64encode(draw_png(3)).decode()]
    return {"name": "IMAGE", "shape": [1], "datatype": "BYTES", "data": data} | changes


def test_json_alone_does(line: Inspecting) -> None:
    flat = np.zeros((8, 9, 3), int).ravel().tolist()
    for tensor in (_tensor(), _tensor(shape=[8, 9, 3], datatype="UINT8", data=flat)):
        answer = line.client.post(INFER, json={"inputs": [tensor], "id": "a"})
        assert answer.status_code == 200
        outputs = {one["name"]: one for one in answer.json()["outputs"]}
        assert set(outputs) == {"score", "p_value", "verdict", "part"}
        assert outputs["part"]["data"] == [line.parts()[-1].id]
        assert outputs["score"]["shape"] == [1]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ([], "not a JSON object"),
        ({}, "give one input"),
        ({"inputs": [_tensor(name="X")]}, "not named IMAGE"),
        ({"inputs": [_tensor(shape=[2])]}, "2 images, the data of 1"),
        ({"inputs": [_tensor(shape=[-1])]}, "shape"),
        ({"inputs": [_tensor(datatype="FP32")]}, "neither BYTES nor UINT8"),
        ({"inputs": [_tensor(data=["ü"])]}, "not base64"),
        ({"inputs": [_tensor(data=7)]}, "not a list of texts"),
        ({"inputs": [_tensor(datatype="UINT8", shape=[1, 1], data=[0])]}, "H, W, 3"),
        ({"inputs": [_tensor(datatype="UINT8", shape=[1, 1, 3], data=[0, 1, 256])]}, "0 to 255"),
        ({"inputs": [_tensor(datatype="UINT8", shape=[1, 1, 3], data=[0, 1])]}, "size of"),
        ({"inputs": [_tensor(datatype="UINT8", shape=[9, 9, 3], data=[[0], []])]}, "numbers"),
        ({"inputs": [_tensor(parameters={"binary_data_size": 4})]}, "binary_data_size"),
        ({"inputs": [_tensor()], "outputs": [{"name": "X"}]}, "an output is none of"),
        ({"inputs": [_tensor()], "parameters": {"deadline": -1}}, "deadline"),
        ({"inputs": [_tensor(shape=[33], data=_tensor()["data"] * 33)]}, "more than 32"),
    ],
)
def test_wrong_requests_are_refused(line: Inspecting, request_: Any, says: str) -> None:
    before = len(line.parts())
    answer = line.client.post(INFER, json=request_)
    assert answer.status_code in (400, 422)
    assert says in answer.json()["error"]
    assert len(line.parts()) == before


@pytest.mark.parametrize(
    ("headers", "body", "says"),
    [
        ({"Inference-Header-Content-Length": "9"}, b"{}", "within the body"),
        ({"Inference-Header-Content-Length": "-1"}, b"{}", "within the body"),
        ({}, b"\xff", "not JSON"),
        ({"Content-Encoding": "gzip"}, b"{}", "without compression"),
    ],
)
def test_wrong_bodies_are_refused(
    line: Inspecting, headers: dict[str, str], body: bytes, says: str
) -> None:
    answer = line.client.post(INFER, content=body, headers=headers)
    assert answer.status_code in (400, 415)
    assert says in answer.json()["error"]


def test_a_key_gives_the_same_map(line: Inspecting) -> None:
    asked = {
        "inputs": [_tensor()],
        "outputs": [{"name": "map"}, {"name": "part"}],
        "parameters": {"key": "map"},
    }
    first, again = (line.client.post(INFER, json=asked).json()["outputs"] for _ in range(2))
    assert first[1] == again[1]
    assert np.allclose(first[0]["data"], again[0]["data"], atol=1e-3)


def test_a_key_that_is_too_long_is_refused(line: Inspecting) -> None:
    asked = {"inputs": [_tensor()], "parameters": {"key": "k" * 98}}
    answer = line.client.post(INFER, json=asked)
    assert answer.status_code == 422
    assert "at most 97 characters" in answer.json()["error"]


def test_ready_says_whether_there_is_an_inspector(tmp_path: Path) -> None:
    with inspecting(tmp_path / "data") as line:
        assert line.client.get("/v2/health/live").status_code == 200
        assert line.client.get("/v2/health/ready").status_code == 503
        assert "error" in line.client.get("/v2/models/x/ready").json()
