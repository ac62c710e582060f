"""Station: all that routes and background services share, and how a route gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from flawmap.station.config import StationConfig
from flawmap.station.database.engine import Database
from flawmap.station.events import EventBus
from flawmap.station.memory.fresh import FreshCache
from flawmap.station.memory.throttle import Throttle
from flawmap.station.parts.files import FileStore
from flawmap.station.parts.write import PartWriter

if TYPE_CHECKING:  # callers.py needs the station
    from flawmap.station.security.callers import Caller


class Service(Protocol):
    """Work in the background of a station, in threads of its own."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> None:
        """End, after what was begun is done; returns when it has."""


@dataclass
class Station:
    """One running station."""

    config: StationConfig
    database: Database
    files: FileStore
    writer: PartWriter
    events: EventBus
    services: dict[str, Service] = field(default_factory=dict)
    callers: FreshCache[Caller] = field(default_factory=FreshCache)
    throttle: Throttle = field(default_factory=Throttle)
    shared: dict[str, object] = field(default_factory=dict)
    """What routes keep for one another, such as counts that are costly to make."""
    started: bool = False
    address: str = ""
    """How browsers reach it, for links in messages: such as `http://127.0.0.1:8420`."""

    @classmethod
    def open(cls, config: StationConfig) -> Station:
        """Open database and files. Raises FlawmapError if either cannot be used."""
        files = FileStore(config.data, config.reserve_megabytes * 10**6)
        database = Database(config.url)
        database.upgrade()
        writer = PartWriter(database, files)
        address = f"http://{config.host}:{config.port}"
        return cls(config, database, files, writer, EventBus(), address=address)

    def start(self) -> None:
        """Start all services, in their order, unless that was done."""
        if self.started:
            return
        self.started = True
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        """Stop all services, the last one first, and close the database."""
        if not self.started:
            return
        self.started = False
        for service in reversed(self.services.values()):
            service.stop()
        self.database.close()


def station_of(connection: HTTPConnection) -> Station:
    """Return the station that a request reached."""
    return cast(Station, connection.app.state.station)


StationOf = Annotated[Station, Depends(station_of)]
