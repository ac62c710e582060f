"""OpcuaService: the OPC UA server, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flawmap.errors import FlawmapError, UsageError
from flawmap.station.database.tables import Part
from flawmap.station.intake.service import intake_of
from flawmap.station.intake.submission import Answer
from flawmap.station.observe.health import problems
from flawmap.station.opcua.nodes import NAMESPACE, Place

if TYPE_CHECKING:
    from flawmap.station.context import Station

NAME = "opcua"
_LOOK = 1.0  # seconds between two looks at the station's state
_WAIT = 20.0  # seconds for starting and stopping
_LOG = logging.getLogger("flawmap.station")


class OpcuaService:
    """Serves the last results at the address of `--opcua`; without one it does nothing."""

    def __init__(self, station: Station) -> None:
        self._station, self._address = station, station.config.opcua
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived, self._started = asyncio.Event(), threading.Event()
        self._waiting: list[Part] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._failure: Exception | None = None
        self._total: Place | None = None
        self._products: dict[str, Place] = {}
        if self._address is not None:
            _check(self._address)
            intake_of(station).on_judged.append(self._take)

    def start(self) -> None:
        """Listen. Raises FlawmapError if that is not possible."""
        if self._address is None:
            return
        self._thread = threading.Thread(target=self._run, name="flawmap-opcua", daemon=True)
        self._thread.start()
        if not self._started.wait(_WAIT) or self._failure is not None:
            reason = self._failure or "it did not start in time"
            raise FlawmapError(
                f"Cannot serve OPC UA at {self._address}: {reason}. Give another --opcua."
            )

    def stop(self) -> None:
        """Stop listening."""
        if self._thread is None:
            return
        self._stopping = True
        self._call(self._arrived.set)
        self._thread.join(_WAIT)

    def _take(self, answers: Sequence[Answer]) -> None:
        with self._lock:
            self._waiting.extend(answer.part for answer in answers)
        self._call(self._arrived.set)

    def _call(self, function: Any) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._started.is_set():
                _LOG.exception("The OPC UA server has failed")
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        from asyncua import ua
        from asyncua.server.server import Server

        logging.getLogger("asyncua").setLevel(logging.ERROR)
        # it logs each refused request: whoever reaches the port would fill the log
        logging.getLogger("asyncua.server.uaprocessor").setLevel(logging.CRITICAL)
        self._loop = asyncio.get_running_loop()
        server = Server()
        await server.init()
        server.allow_remote_admin(False)  # else the user name admin writes
        server.set_server_name("flawmap")
        server.set_endpoint(self._address or "")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        state, products = await self._create(server, index, ua)
        async with server:
            self._started.set()
            while not self._stopping:
                await self._show(products, index, ua)
                found = await asyncio.to_thread(problems, self._station)
                await state.write_value("Error" if found else "Operational")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), _LOOK)
                self._arrived.clear()

    async def _create(self, server: Any, index: int, ua: Any) -> tuple[Any, Any]:
        """Create all nodes but those of products; return the state's and the products' folder."""

        def named(path: str) -> tuple[Any, Any]:
            return ua.NodeId(path, index), ua.QualifiedName(path.rpartition("/")[2], index)

        system = await server.nodes.objects.add_object(*named("VisionSystem"))
        machine = await system.add_object(*named("VisionSystem/VisionStateMachine"))
        current = named("VisionSystem/VisionStateMachine/CurrentState")
        state = await machine.add_variable(*current, "Preoperational", ua.VariantType.String)
        products = await system.add_folder(*named("VisionSystem/Products"))
        total = Place(index, "VisionSystem/ResultManagement")
        self._total = await total.create(system, ua)
        for product in intake_of(self._station).products:
            await self._place(product.name, products, index, ua)
        return state, products

    async def _place(self, name: str, folder: Any, index: int, ua: Any) -> Place:
        if name not in self._products:
            path = f"VisionSystem/Products/{name.replace('/', '_')}"
            self._products[name] = await Place(index, path).create(folder, ua)
        return self._products[name]

    async def _show(self, folder: Any, index: int, ua: Any) -> None:
        """Show all parts that have arrived: each is counted, and the last of each product shown."""
        with self._lock:
            parts, self._waiting = self._waiting, []
        if not parts or self._total is None:
            return
        names = {product.id: product.name for product in intake_of(self._station).products}
        by_product: defaultdict[str, list[Part]] = defaultdict(list)
        for part in parts:
            by_product[names.get(part.product_id, str(part.product_id))].append(part)
        for name, some in by_product.items():
            await (await self._place(name, folder, index, ua)).show(some, name, ua)
        last = names.get(parts[-1].product_id, str(parts[-1].product_id))
        await self._total.show(parts, last, ua)


def _check(address: str) -> None:
    """Raise UsageError for an unusable address, FlawmapError if the packages are missing."""
    try:
        parts = urlsplit(address)
        good = parts.scheme == "opc.tcp" and parts.hostname and parts.port is not None
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"--opcua {address}: give an address such as opc.tcp://127.0.0.1:4840.")
    try:
        import asyncua  # noqa: F401
    except ModuleNotFoundError as error:
        raise FlawmapError("OPC UA needs more packages: pip install 'flawmap[opcua]'") from error


def create_service(station: Station) -> OpcuaService:
    """Create the service. Raises UsageError or FlawmapError if it cannot serve."""
    return OpcuaService(station)
