"""OPC UA: a real client reads the last results, and can change nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flawmap.errors import FlawmapError, UsageError
from station.apart import run_apart
from station.delivery.receiving import free_port
from station.inspecting import draw_png, inspecting

_ROOT = "VisionSystem/ResultManagement"


@pytest.fixture
def address() -> str:
    """An address for the server; skips the test without asyncua."""
    pytest.importorskip("asyncua", reason="needs asyncua")
    return f"opc.tcp://127.0.0.1:{free_port()}"


async def read(address: str, *paths: str) -> list[Any]:
    """Values of nodes, once the counters have reached two parts."""
    from asyncua import Client

    async with Client(address) as client:
        index = await client.get_namespace_index("https://flawmap.invalid/opcua")
        total = client.get_node(f"ns={index};s={_ROOT}/Counters/Total")
        for _ in range(200):
            if await total.read_value() == 2:
                break
            await asyncio.sleep(0.05)
        return [await client.get_node(f"ns={index};s={path}").read_value() for path in paths]


async def attack(address: str) -> None:
    """Write, add and delete as a client that calls itself an administrator."""
    from asyncua import Client, ua

    client = Client(address)
    client.set_user("admin")
    async with client:
        index = await client.get_namespace_index("https://flawmap.invalid/opcua")
        node = client.get_node(f"ns={index};s={_ROOT}/LatestResult/Verdict")
        for change in (
            node.write_value("forged"),
            node.set_writable(),
            client.nodes.objects.add_variable(index, "x", 1),
            client.delete_nodes([node]),
        ):
            with pytest.raises(ua.UaError, match="permission"):
                await change


def test_a_client_reads_the_last_result_and_cannot_write(
    tiny_run: Path, tmp_path: Path, address: str
) -> None:
    with inspecting(tmp_path / "data", f"board={tiny_run}", opcua=address) as line:
        line.send(draw_png(1), number="SN 1")
        verdict = line.send(draw_png(2), number="SN 2", line="two").json()
        result, product = f"{_ROOT}/LatestResult", "VisionSystem/Products/board"
        found = run_apart(
            read(
                address,
                "VisionSystem/VisionStateMachine/CurrentState",
                *(f"{result}/{name}" for name in ("ResultId", "PartId", "Line", "Verdict")),
                f"{result}/Score",
                f"{product}/LatestResult/PartId",
                f"{product}/Counters/{verdict['verdict'].capitalize()}",
            )
        )
        assert found[:5] == ["Operational", "2", "SN 2", "two", verdict["verdict"]]
        assert found[5] == pytest.approx(verdict["score"])
        assert found[6] == "SN 2"
        assert found[7] in (1, 2)
        run_apart(attack(address))
        with (
            pytest.raises(FlawmapError, match="Cannot serve OPC UA"),
            inspecting(tmp_path / "other", opcua=address),
        ):
            pass


@pytest.mark.parametrize("wrong", ["http://127.0.0.1:4840", "opc.tcp://127.0.0.1", "4840"])
def test_wrong_addresses_are_refused(tmp_path: Path, wrong: str) -> None:
    with (
        pytest.raises(UsageError, match=r"opc\.tcp://127"),
        inspecting(tmp_path / "data", opcua=wrong),
    ):
        pass
